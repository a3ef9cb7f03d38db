# SPDX-License-Identifier: MIT
"""
Measures the shipped program beside a bare process on the same libraries and a Python exporter, in
one run on one machine, and prints a table. See doc/BENCHMARK.md.

    bench.py JSON-FILE [PART…]

Environment: BENCH_QUICK=1 for a run of three minutes that shows whether it works. No figure makes
it fail: it ends with 0 when everything could be measured.
"""

import concurrent.futures
import json
import os
import platform
import sys
import time

import experiments
import measure
import report
from contestants import NAMES, Arena, harness

QUICK = os.environ.get('BENCH_QUICK', '') not in ('', '0')

SIZES = {
    'rounds': 2 if QUICK else 5,
    'polls': 8 if QUICK else 40,
    'starts': 3 if QUICK else 15,
    'traced_polls': 4 if QUICK else 20,
    'idle_seconds': 5 if QUICK else 60,
    'memory_polls': 16 if QUICK else 360,
    'memory_scrapes': 400 if QUICK else 10000,
    'scrape_rounds': 1 if QUICK else 3,
    'scrape_seconds': 1 if QUICK else 4,
    'cadence_seconds': 4 if QUICK else 50,
    'batteries': (1, 8) if QUICK else (1, 8, 64),
    'several_polls': 1 if QUICK else 6,
}


def say(text):
    print('bench: %s' % text, file=sys.stderr, flush=True)


def machine():
    with open('/proc/cpuinfo') as file:
        models = [line.split(':', 1)[1].strip() for line in file
                  if line.startswith(('model name', 'Model'))]
    with open('/proc/meminfo') as file:
        memory_kb = int(file.readline().split()[1])
    return {'cpu': models[0] if models else platform.machine(), 'cpus': os.cpu_count(),
            'memory_mb': memory_kb // 1024, 'kernel': platform.release(),
            'architecture': platform.machine(),
            'date': time.strftime('%Y-%m-%d', time.gmtime())}


# ---- the parts -------------------------------------------------------------------------------

def poll():
    return experiments.interleaved(SIZES['rounds'],
                                   lambda name: experiments.poll(name, SIZES['polls']), say=say)


def wakeups():
    return {name: experiments.wakeups(name, SIZES['traced_polls']) for name in NAMES}


def idle():
    # All at once: whoever is idle disturbs nobody.
    with concurrent.futures.ThreadPoolExecutor(len(NAMES)) as pool:
        return dict(zip(NAMES, pool.map(
            lambda name: experiments.idle(name, SIZES['idle_seconds']), NAMES)))


def memory():
    return {name: experiments.memory(name, SIZES['memory_polls'], SIZES['memory_scrapes'])
            for name in NAMES}


def scrape():
    return {str(n): experiments.interleaved(
        SIZES['scrape_rounds'],
        lambda name, n=n: experiments.scrape(name, n, SIZES['scrape_seconds']), say=say)
        for n in (1, 4, 32)}


def body():
    return {name: experiments.body(name) for name in NAMES}


def cadence():
    return {name: {'idle': experiments.cadence(name, SIZES['cadence_seconds'], scraped=False),
                   'scraped': experiments.cadence(name, SIZES['cadence_seconds'])}
            for name in NAMES}


def start():
    return experiments.interleaved(SIZES['starts'], experiments.start)


def several():
    return {str(n): experiments.several(n, SIZES['several_polls']) for n in SIZES['batteries']}


def decode():
    return experiments.decoding()


def render():
    return experiments.rendering()


def binary():
    return {'exporter': measure.binary(harness.EXPORTER),
            'floor': measure.binary(experiments.ROOT + '/build/bench/floor')}


# First what other load on the machine does not change.
PARTS = (decode, render, binary, body, idle, wakeups, memory, poll, scrape, cadence, start, several)


def main():
    path, wanted = sys.argv[1], sys.argv[2:]
    result = {'machine': machine(), 'quick': QUICK, 'sizes': SIZES, 'load': []}
    if os.path.exists(path) and wanted:  # some parts again, into what is there
        with open(path) as file:
            result = json.load(file)
    began = time.monotonic()
    Arena.prepare()
    for part in PARTS:
        if wanted and part.__name__ not in wanted:
            continue
        say('%s (%d s)' % (part.__name__, time.monotonic() - began))
        before = os.getloadavg()[0]
        result[part.__name__] = part()
        result['load'] = [each for each in result['load'] if each[0] != part.__name__]
        result['load'].append([part.__name__, round(before, 2), round(os.getloadavg()[0], 2)])
        with open(path + '.new', 'w') as file:
            json.dump(result, file, indent=1)
        os.replace(path + '.new', path)
    print(report.table(result))


main()
