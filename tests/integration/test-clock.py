#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""A machine that is suspended, and a wall clock that is set, while the program runs."""
import contextlib
import mmap
import os
import re
import signal
import struct
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

from harness import ADDRESS, ROOT, Bench, check, equal
from tap import run, test

HOUR = 3600
YEAR = 365 * 86400
NEAR = .5  # s: steps of the wall clock up to this are not followed

AMPERES = 'bms_pack_current_amperes'


class Clock:
    """The clocks of an exporter, through clock-preload.c."""

    def __init__(self, bench):
        self.path = bench.directory + '/clock'
        self.boot = self.wall = 0
        with open(self.path, 'wb') as file:
            file.write(bytes(16))
        with open(self.path, 'r+b') as file:
            self.map = mmap.mmap(file.fileno(), 16)

    def environment(self):
        # The sanitizer's library wants to come first, to see each allocation. It need not: the
        # preloaded one allocates nothing.
        options = os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'
        return {'LD_PRELOAD': ROOT + '/build/clock-preload.so', 'BMS_CLOCK': self.path,
                'ASAN_OPTIONS': options.lstrip(':')}

    def now(self):
        """The wall clock, as the exporter sees it."""
        return time.time() + self.wall

    def set(self, boot, wall):
        self.boot, self.wall = boot, wall
        self.map[:] = struct.pack('=qq', round(boot * 1e6), round(wall * 1e6))

    def suspend(self, seconds):
        self.set(self.boot + seconds, self.wall + seconds)

    def step(self, seconds):
        """As by settimeofday()."""
        self.set(self.boot, self.wall + seconds)


class Watch:
    """Scrapes, and checks what must hold in each of them."""

    def __init__(self, bench):
        self.bench = bench
        self.amperes = None  # what may be served, beside nothing
        self.before = None

    def metrics(self):
        metrics = self.bench.exporter.metrics()
        current = metrics(AMPERES)
        check(current in (None, self.amperes), 'a stale value: %s A' % current)
        check((current is None) == (metrics('bms_up') == 0), 'values while bms_up is 0, or none')
        if self.before:
            for key, value in self.before.samples.items():
                if re.search('_(total|count|sum|bucket)$', key[0]):
                    check(metrics.samples.get(key, -1) >= value, '%s went backwards' % (key,))
        self.before = metrics
        return metrics

    def until(self, condition, what, limit=40):
        def look():
            metrics = self.metrics()
            return metrics if condition(metrics) else None
        return self.bench.eventually(what, look, limit)

    def fresh(self):
        return self.until(lambda m: m('bms_up') == 1, 'fresh readings')

    def polls(self, count):
        """Waits for so many more complete polls."""
        before = self.metrics()('bms_poll_duration_seconds_count')
        return self.until(lambda m: m('bms_poll_duration_seconds_count') >= before + count, 'polls')


def set_amperes(bench, amperes):
    bench.sim('set * current_ma %d' % (1000 * amperes))
    bench.watch.amperes = amperes


def up(bench, interval='500ms', ahead=0):
    """Everything, with clocks to set; the wall clock is ahead from the start."""
    bench.clock = Clock(bench)
    bench.clock.step(ahead)
    bench.watch = Watch(bench)
    bench.start_bus()
    bench.start_sim(ADDRESS + ',steady')
    set_amperes(bench, 10)
    bench.start('--poll.interval=' + interval, env=bench.clock.environment())
    return bench.watch.fresh()


@contextlib.contextmanager
def suspended(bench):
    """An hour of sleep, in which the current changes."""
    bench.exporter.signal(signal.SIGSTOP)
    yield
    bench.clock.suspend(HOUR)
    set_amperes(bench, -20)
    bench.exporter.signal(signal.SIGCONT)


def awake(bench, before):
    """Readings come back, and the hour is accounted for."""
    after = bench.watch.fresh()
    equal(after(AMPERES), -20, AMPERES)
    missed = (after('bms_poll_failures_total', reason='missed') -
              before('bms_poll_failures_total', reason='missed'))
    check(missed >= HOUR / 4 - 2, '%g polls were missed' % missed)
    measured = (after('bms_energy_measured_seconds_total') -
                before('bms_energy_measured_seconds_total'))
    check(measured < HOUR / 2, 'energy of %g s' % measured)
    check(abs(after('bms_last_success_timestamp_seconds') - bench.clock.now()) < HOUR / 2,
          'last success in wall time')


# ---- suspended -----------------------------------------------------------------------------------

def suspended_before_the_answer(register):
    @test
    def function(bench):
        before = up(bench, '4s')
        bench.sim('set latency 0.3')  # time enough to be stopped before the answer
        at = bench.sim.until('request .* ' + register, bench.sim.mark())
        with suspended(bench):
            bench.sim.until('reply .* ' + register, at)
            bench.sim('set latency 0.01')
        awake(bench, before)
    function.__doc__ = 'The machine is suspended between the question %s and its answer' % register


suspended_before_the_answer('03')
suspended_before_the_answer('04')


@test
def suspended_at_rest(bench):
    """The machine is suspended between two polls."""
    before = up(bench, '4s')
    with suspended(bench):
        pass
    awake(bench, before)


# ---- the wall clock ------------------------------------------------------------------------------

def stepped(seconds, name):
    @test
    def function(bench):
        before = up(bench)
        seconds_ahead = seconds()
        bench.clock.step(seconds_ahead)
        after = bench.watch.polls(4)
        equal(after('bms_up'), 1, 'bms_up')
        begun = 'process_start_time_seconds'
        check(abs(after(begun) - before(begun) - seconds_ahead) < NEAR, 'start time')
        for last in 'bms_last_success_timestamp_seconds', 'bms_last_update':
            check(after(last) > before(last) + seconds_ahead + 1, last)
            check(after(last) <= bench.clock.now() + NEAR, last + ' is in the future')
        # Nothing moves by itself.
        later = bench.watch.polls(4)
        equal(later(begun), after(begun), 'start time')
        equal(later.sum('bms_poll_failures_total'), before.sum('bms_poll_failures_total'),
              'lost polls')
    function.__doc__ = 'The wall clock is set: ' + name


stepped(lambda: -time.time() + 60, 'back to 1970')
stepped(lambda: YEAR, 'a year ahead')


@test
def boot_without_a_clock(bench):
    """A battery that has gone before NTP set the clock was last read when it was, on the page too."""
    earliest = time.time()
    up(bench, ahead=-time.time() + 60)
    bench.sim('absent *')
    gone = bench.watch.until(lambda m: m('bms_up') == 0, 'stale readings')
    check(gone('bms_last_success_timestamp_seconds') < YEAR, 'there is no clock yet')
    latest = time.time()

    bench.clock.set(0, 0)
    after = bench.watch.metrics()
    for name in ('process_start_time_seconds', 'bms_last_success_timestamp_seconds',
                 'bms_last_update'):
        check(earliest - NEAR <= after(name) <= latest + NEAR, name)
        equal(bench.watch.metrics()(name), after(name), name)
    day = time.strftime('%Y-%m-%d', time.gmtime(after('bms_last_update')))
    check(re.search('Last read .*' + day, bench.exporter.get('/').text), 'the page tells the day')
    bench.sim('present *')
    bench.watch.fresh()


# ---- another interval ----------------------------------------------------------------------------

@test
def longer_interval(bench):
    """A reload that makes the interval longer does not bring stale readings back."""
    conf = bench.directory + '/conf'

    def write(interval):
        with open(conf, 'w') as file:
            file.write('[exporter]\npoll.interval = %s\n[%s]\n' % (interval, ADDRESS))

    bench.watch = Watch(bench)
    bench.start_bus()
    bench.start_sim(ADDRESS + ',steady')
    set_amperes(bench, 10)
    write('500ms')
    exporter = bench.start('--config=' + conf)
    bench.watch.fresh()
    bench.sim('fault * silent')
    bench.watch.until(lambda m: m('bms_up') == 0, 'stale readings')
    bench.watch.amperes = None
    write('1h')
    exporter.signal(signal.SIGHUP)
    exporter.logged('the options were read again')
    equal(bench.watch.metrics()('bms_up'), 0, 'bms_up')
    bench.sim('clear *')
    set_amperes(bench, -20)
    bench.watch.fresh()


run(Bench)
