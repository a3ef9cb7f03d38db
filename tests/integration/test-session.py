#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""The life of a session: renewal, stalls, lost links."""
import os
import re
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

from harness import Bench, check, equal
from readings import TRUTH, true_board
from tap import run, test


def sessions(metrics):
    return {dict(labels)['reason']: value
            for labels, value in metrics.all('bms_link_sessions_total').items() if value}


def check_renewal(bench, interval, renewals, **settings):
    exporter = true_board(bench, '--session.renew=1', '--poll.interval=%s' % interval, **settings)
    metrics = exporter.until(
        lambda m: m('bms_link_sessions_total', reason='renewal') >= renewals and m('bms_up') == 1,
        'renewals')
    TRUTH.check(metrics)
    equal(metrics.sum('bms_poll_failures_total'), 0, 'failed polls')
    equal(sessions(metrics), {'start': 1, 'renewal': metrics('bms_link_sessions_total',
                                                             reason='renewal')}, 'sessions')
    sim = bench.sim
    at = sim.until('resolved')
    for _ in range(renewals):
        # StopNotify before Disconnect, and a new link only when the old one is down.
        off = sim.until('notify .* off', at)
        asked = sim.until('disconnect ', at)
        down = sim.until('disconnected .* local', at)
        again = sim.until('connect ', at)
        at = sim.until('notify .* on', again)
        check(off < asked < down < again, 'order of a renewal: %s' %
              [text for when, text in sim.events[at - 8:at]])
    equal([line for line in exporter.log if 'warning' in line or 'error' in line], [], 'warnings')


@test
def renewal(bench):
    """A renewal costs no poll, and goes StopNotify, Disconnect, Connect."""
    check_renewal(bench, 1, 4)


@test
def renewal_real_times(bench):
    """The same with a Disconnect of 2 s and all other times of the real bluetoothd."""
    check_renewal(bench, 6, 2, faithful=True)


@test
def no_renewal(bench):
    """--session.renew=0 keeps a link for ever."""
    exporter = bench.up('--session.renew=0')
    exporter.until(lambda m: m('bms_polls_total') >= 12, 'twelve slots')
    equal(bench.sim.battery()['links'], 1, 'links')


@test
def lost_first_command(bench):
    """The first command of a session, lost, is asked again and costs no poll."""
    exporter = true_board(bench, '--poll.interval=5', more=',known')
    TRUTH.check(exporter.fresh())
    asked = [text.split()[2] for when, text in bench.sim.seen('request')]
    equal(asked[:3], ['03', '03', '04'], 'first requests')
    metrics = exporter.metrics()
    equal(metrics.sum('bms_poll_failures_total'), 0, 'failures')
    equal(bench.sim.battery()['unanswered'], 1, 'unanswered requests')


@test
def stall(bench):
    """A link that goes silent is replaced; readings vanish after three intervals and come back."""
    exporter = true_board(bench)
    before = exporter.fresh()
    updated = before('bms_last_update')
    at = bench.sim.mark()
    bench.sim('fault * silent')
    at = bench.sim.until('disconnect ', at)
    metrics = exporter.until(lambda m: m('bms_up') == 0, 'readings to vanish')
    TRUTH.check(metrics)
    check(metrics('bms_last_update') >= updated, 'bms_last_update has gone back')
    stayed = metrics('bms_last_update')
    equal(metrics('bms_last_success_timestamp_seconds'), stayed, 'time of the last success')
    equal(metrics('bms_charge_cycles_total'), TRUTH.cycles, 'counter of cycles')
    exporter.logged('warning: .* connected but silent')
    metrics = exporter.until(lambda m: m('bms_link_sessions_total', reason='stall') >= 1,
                             'a session after a stall')
    equal(metrics('bms_last_update'), stayed, 'bms_last_update')
    check(metrics('bms_poll_failures_total', reason='timeout') > 0, 'no time-out counted')
    bench.sim('clear *')
    metrics = exporter.fresh()
    TRUTH.check(metrics)
    check(metrics('bms_last_update') > stayed, 'bms_last_update stands still')
    exporter.logged('readings are back after')
    equal(set(sessions(metrics)), {'start', 'stall'}, 'sessions')


@test
def fresh_for_three_intervals(bench):
    """Readings are served for three intervals and no longer."""
    exporter = true_board(bench, '--poll.interval=1')
    exporter.fresh()
    bench.sim('fault * silent')
    last = exporter.until(lambda m: m('bms_poll_failures_total', reason='timeout') >= 1,
                          'a lost poll')
    equal(last('bms_up'), 1, 'bms_up one lost poll later')
    TRUTH.check(last)
    TRUTH.check(exporter.until(lambda m: m('bms_up') == 0, 'readings to vanish'))


def good_polls(bench, count):
    """Waits for so many more complete polls."""
    before = bench.exporter.metrics()('bms_poll_duration_seconds_count')
    return bench.exporter.until(
        lambda m: m('bms_poll_duration_seconds_count') >= before + count, 'good polls')


@test
def unstable(bench):
    """A battery that comes and goes: one line, whatever else fails, until it is stable again."""
    exporter = true_board(bench)
    good_polls(bench, 2)
    bench.sim('fault * silent')
    exporter.logged('warning: .*silent')
    bench.sim('clear *')
    said = exporter.logged('readings are back after')
    bench.sim('fault * drop-now')
    exporter.logged('warning: .* unstable: .*; further messages suppressed until 6 good polls')
    for _ in range(4):
        good_polls(bench, 2)
        bench.sim('fault * drop-now')
    good_polls(bench, 2)
    # A fault of another kind, and one that retries do not help against.
    bench.sim('fault * error-status 81')
    exporter.logged('needs attention: not read for ')
    seconds = int(re.search('not read for ([0-9]+) s', exporter.log[-1])[1])
    without = time.time() - exporter.metrics()('bms_last_success_timestamp_seconds')
    check(seconds <= without + 1, 'not read for %d s, but for %.1f s' % (seconds, without))
    equal(len(exporter.log[said:]), 2, 'lines: %s' % exporter.log[said:])
    bench.sim('clear *')
    before = exporter.metrics()('bms_poll_duration_seconds_count')
    exporter.logged('stable again after .*faults: ')
    after = exporter.metrics()('bms_poll_duration_seconds_count')
    check(after >= before + 5, 'stable after %d polls' % (after - before))
    equal(len(exporter.log[said:]), 3, 'lines: %s' % exporter.log[said:])


@test
def dropped_while_idle(bench):
    """A link that breaks between two polls is replaced, and counted as lost."""
    exporter = true_board(bench, '--poll.interval=2')
    exporter.until(lambda m: m.all('bms_protection_events_total'), 'the first round')
    at = bench.sim.mark()
    bench.sim('fault * drop-now')
    at = bench.sim.until('disconnected .* fault', at)
    at = bench.sim.until('connected', at)
    metrics = exporter.until(lambda m: m('bms_link_sessions_total', reason='link_loss') == 1,
                             'a new session')
    TRUTH.check(exporter.fresh())
    exporter.logged('warning: .* the connection broke')
    equal(metrics.sum('bms_poll_failures_total'), 0, 'failures')
    bench.sim.until('reply .* 04', at)
    exporter.logged('readings are back')


@test
def dropped_while_asking(bench):
    """A link that breaks in the middle of a request is replaced, and the slot kept."""
    exporter = true_board(bench, '--poll.interval=2')
    exporter.fresh()
    at = bench.sim.until('reply .* aa')
    bench.sim('fault * drop-after 2')
    at = bench.sim.until('disconnected .* fault', at)
    bench.sim.until('reply .* 04', at)
    metrics = exporter.until(lambda m: m('bms_link_sessions_total', reason='link_loss') == 1 and
                             m('bms_up') == 1, 'a new session')
    TRUTH.check(metrics)
    equal(metrics.sum('bms_poll_failures_total'), 0, 'failures')


@test
def drops_again_and_again(bench):
    """A link that breaks all the time still brings readings, and does not flood the log."""
    exporter = true_board(bench)
    exporter.fresh()
    bench.sim('fault * drop-every 0.7')
    metrics = exporter.until(lambda m: m('bms_link_sessions_total', reason='link_loss') >= 8,
                             'eight lost links')
    TRUTH.check(metrics)
    lines = [line for line in exporter.log if 'broke' in line or 'back' in line]
    check(len(lines) <= 4, 'eight lost links made %d lines' % len(lines))
    bench.sim('clear *')
    at = bench.sim.mark()
    for _ in range(8):
        at = bench.sim.until('reply .* 04', at)
    exporter.logged('stable again after')
    TRUTH.check(exporter.fresh())


@test
def notifications_dead(bench):
    """A session whose notifications never come is replaced as a stall."""
    exporter = true_board(bench)
    bench.sim('fault * notify-dead 1')
    metrics = exporter.fresh()
    TRUTH.check(metrics)
    equal(sessions(metrics), {'start': 1, 'stall': 1}, 'sessions')


@test
def energy(bench):
    """Energy is counted from poll to poll, but not across a gap longer than readings are fresh."""
    exporter = true_board(bench)
    first = exporter.until(lambda m: m('bms_discharge_energy_joules_total') > 0, 'energy')
    second = exporter.until(lambda m: m('bms_polls_total') >= first('bms_polls_total') + 4,
                            'four polls')
    seconds = second('bms_last_update') - first('bms_last_update')
    joules = (second('bms_discharge_energy_joules_total') -
              first('bms_discharge_energy_joules_total'))
    watts = -TRUTH.volts * TRUTH.amperes
    check(abs(joules - watts * seconds) < watts * .02, '%g J in %g s at %g W' %
          (joules, seconds, watts))
    equal(second('bms_charge_energy_joules_total'), 0, 'energy of charging')
    measured = (second('bms_energy_measured_seconds_total') -
                first('bms_energy_measured_seconds_total'))
    check(abs(measured - seconds) < .02, 'measured %g s in %g s' % (measured, seconds))

    bench.sim('fault * silent')
    gone = exporter.until(lambda m: m('bms_up') == 0, 'readings to vanish')
    bench.sim('clear *')
    back = exporter.fresh()
    gap = back('bms_last_update') - gone('bms_last_update')
    joules = (back('bms_discharge_energy_joules_total') -
              gone('bms_discharge_energy_joules_total'))
    check(joules < watts * gap / 2, '%g J in a gap of %g s at %g W' % (joules, gap, watts))


run(Bench)
