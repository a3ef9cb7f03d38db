#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""Boards that answer late, or in pieces with long gaps between them."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

from harness import ADDRESS, Bench, check, equal
from readings import TRUE_BOARD, TRUTH, set_truth
from tap import run, test


def start(bench, interval, *commands):
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + ',known')
    set_truth(bench.sim)
    bench.sim(*commands)
    return bench.start('--poll.interval=%gs' % interval)


def left_alone(bench, metrics):
    """Nothing was done against faults that a slow board does not have."""
    battery = bench.sim.battery()
    equal(battery['links'], 1, 'links')
    equal(battery['password-requests'], 0, 'steps of the password handshake')
    equal(metrics.sum('bms_link_sessions_total'), 1, 'sessions')
    equal(metrics.sum('bms_frame_errors_total'), 0, 'frame errors')
    equal(metrics('bms_recovery_actions_total', action='remove_device'), 0, 'remove_device')
    equal(bench.sim.seen('remove-device'), [], 'RemoveDevice')


def asked(bench):
    """How often the two registers were asked for without which a poll is not complete."""
    requests = bench.sim.battery()['requests']
    return requests['03'] + requests['04']


def is_read(name, interval, polls, *commands):
    @test
    def function(bench):
        exporter = start(bench, interval, *commands)
        # It may take two polls to learn how slow the board is.
        begin = exporter.until(lambda m: m('bms_polls_total') > 2, 'two polls')
        before = asked(bench)
        metrics = exporter.until(lambda m: m('bms_polls_total') > polls, '%d polls' % polls,
                                 limit=interval * polls * 2)
        TRUTH.check(metrics)
        check(metrics.sum('bms_poll_failures_total') <= 2,
              '%d polls of %d lost' % (metrics.sum('bms_poll_failures_total'), polls))
        left_alone(bench, metrics)
        counted = metrics('bms_polls_total') - begin('bms_polls_total')
        questions = asked(bench) - before
        check(questions <= 2.2 * counted + 1, '%d questions for %d polls' % (questions, counted))
        equal([line for line in exporter.log if 'warning' in line or 'error' in line], [],
              'warnings')
    function.__doc__ = name


is_read('Answers after 0.35 s are read every 2 s', 2, 15, 'set latency 0.35')
is_read('Answers after 0.62 s are read every 2 s', 2, 30, 'set latency 0.62')
is_read('Answers after 1.6 s are read every 5 s', 5, 8, 'set latency 1.6')
is_read('Answers after 3 s are read every 10 s', 10, 6, 'set latency 3')
is_read('Pieces that are 0.25 s apart are read every 2 s', 2, 15,
        'fault * piece-gap 0.25')
is_read('Pieces that are 0.25 s apart are read every 10 s', 10, 5,
        'fault * piece-gap 0.25')
is_read('Pieces of 7 bytes that are 0.5 s apart are read every 10 s', 10, 5,
        'fault * piece-gap 0.5', 'fault * chunk-size 7')


@test
def too_slow(bench):
    """A board that needs longer than the poll interval is reported as such, and left alone."""
    exporter = start(bench, 2, 'set latency 3')
    exporter.logged('warning: .*its answers take longer than the poll interval allows: [0-9.]+ s each')
    metrics = exporter.until(lambda m: m('bms_polls_total') > 10, 'polls')
    equal(metrics('bms_up'), 0, 'bms_up')
    equal(metrics('bms_fault', fault='slow'), 1, 'bms_fault')
    equal(metrics('bms_poll_failures_total', reason='timeout') +
          metrics('bms_poll_failures_total', reason='not_connected'),
          metrics.sum('bms_poll_failures_total'), 'lost for want of an answer')
    left_alone(bench, metrics)
    bench.sim('set latency 0.02')
    metrics = exporter.fresh()
    TRUTH.check(metrics)
    equal(metrics('bms_fault', fault='slow'), 0, 'bms_fault')
    left_alone(bench, metrics)


@test
def becomes_slow(bench):
    """A board that becomes slow while it is read is read on."""
    exporter = start(bench, 2, 'set latency 0.05')
    exporter.until(lambda m: m('bms_polls_total') > 3, 'polls')
    bench.sim('set latency 0.62')
    before = exporter.metrics()
    metrics = exporter.until(lambda m: m('bms_polls_total') >= before('bms_polls_total') + 10,
                             'more polls')
    TRUTH.check(metrics)
    check(metrics.sum('bms_poll_failures_total') <= 2, 'lost polls')
    left_alone(bench, metrics)


@test
def lost_answers_are_no_deafness(bench):
    """Where a way of writing has brought answers, lost ones do not make the link change it."""
    exporter = start(bench, 2)
    exporter.fresh()
    at = bench.sim.mark()
    bench.sim('fault * no-answer 2')
    for _ in range(4):
        at = bench.sim.until('request .* 03', at)
    exporter.until(lambda m: m('bms_fault', fault='silent') == 0 and m('bms_up') == 1, 'readings')
    equal(bench.sim.battery()['writes-request'], 0, 'writes with response')


run(Bench)
