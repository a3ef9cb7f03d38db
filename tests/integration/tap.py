# SPDX-License-Identifier: MIT
"""
A small runner: each test is a function, its docstring's first line its name, the output TAP.

Tests mostly wait, so several run at once: BMS_JOBS of them, 4 unless told otherwise. Arguments on
the command line are regular expressions: only tests whose name matches one are run.
"""

import concurrent.futures
import os
import re
import signal
import sys
import time
import traceback

JOBS = int(os.environ.get('BMS_JOBS', '4'))

_tests = []


class Skip(Exception):
    """The test cannot run here; the text says why."""


def test(function):
    """Registers a test. It is called with a fresh Bench."""
    _tests.append(function)
    return function


def _name(function):
    return function.__doc__.strip().splitlines()[0].rstrip('.').replace('#', '')


def _run_one(function, bench):
    """Returns what is to be printed, and on failure what there is to know."""
    began = time.monotonic()
    ok, comment, wrong = 'ok', '', ''
    try:
        with bench:
            function(bench)
    except Skip as skip:
        comment = ' # SKIP %s' % skip
    except Exception:
        ok, wrong = 'not ok', traceback.format_exc() + bench.report
    return ok, '%s%s\n# %.1f s' % (_name(function), comment, time.monotonic() - began), wrong


def _on_signal(number, frame):
    # Once: what is being stopped must not be interrupted again.
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


def run(make_bench):
    """Runs the tests, each with a bench of its own, and exits."""
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, _on_signal)
    wanted = [t for t in _tests
              if len(sys.argv) < 2 or any(re.search(p, _name(t)) for p in sys.argv[1:])]
    benches = [make_bench() for _ in wanted]
    failed = 0
    print('1..%d' % len(wanted), flush=True)
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        try:
            results = [pool.submit(_run_one, *each) for each in zip(wanted, benches)]
            for number, result in enumerate(results, 1):
                ok, text, wrong = result.result()
                print('%s %d - %s' % (ok, number, text), flush=True)
                failed += ok != 'ok'
                for line in wrong.splitlines():
                    print('#', line, file=sys.stderr, flush=True)
        except SystemExit:
            # Each test ends what it has started, as after a failure.
            print('Bail out! Interrupted', flush=True)
            pool.shutdown(wait=False, cancel_futures=True)
            for bench in benches:
                bench.interrupted = True
            raise
    sys.exit(1 if failed else 0)
