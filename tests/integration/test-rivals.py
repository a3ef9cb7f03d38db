#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""Other programs on this machine that use the same board: what they hold, and what they leave."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

import signal

from harness import ADDRESS, Bench, check, equal
from readings import TRUE_BOARD, TRUTH, set_truth, true_board
from tap import run, test

LOCKED = 'another program holds its notifications, or has left them locked'
CONTESTED = 'another program on this machine'


def rival(bench, *acts):
    """Another program connects to the board, and does these things then."""
    at = bench.sim.mark()
    bench.sim('rival %s connect' % ADDRESS)
    bench.sim.until('resolved', at)
    for act in acts:
        bench.sim('rival %s %s' % (ADDRESS, act))


def with_rival(bench, *acts, more=',known'):
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + more)
    set_truth(bench.sim)
    rival(bench, *acts)


def leave_locked(bench):
    """What is left of a program that died before its AcquireNotify was answered."""
    rival(bench, 'acquire unanswered', 'die')
    bench.sim('fault * drop-now')
    equal(bench.sim.battery()['notify-acquired'], True, 'acquired')


def start(bench, *arguments):
    return bench.start('--poll.interval=500ms', '--log.level=debug', *arguments)


def has_fault(exporter, name, needed=False):
    """Waits for the fault, or until a person is told to do something about it."""
    def holds(metrics):
        return (metrics('bms_up') == 0 and metrics('bms_fault', fault=name) == 1 and
                (not needed or metrics('bms_operator_needed') == 1))
    TRUTH.check(exporter.until(holds, 'the fault ' + name))


def unharmed(bench):
    state = bench.sim.state()
    check(state['running'], 'bluetoothd is dead')
    equal(bench.sim.seen('remove-device'), [], 'removals')
    equal(bench.sim.seen('powered off'), [], 'power cycles')


# ---- notifications that are acquired -------------------------------------------------------------

@test
def left_locked(bench):
    """Notifications that a dead program left acquired are told of; a new bluetoothd has values."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + ',known')
    set_truth(bench.sim)
    leave_locked(bench)
    exporter = start(bench, '--recover.power-cycle')
    exporter.logged('warning: .*%s; what helps: .*sudo systemctl restart bluetooth' % LOCKED)
    has_fault(exporter, 'locked', needed=True)
    equal(exporter.count_log('bluetoothctl remove'), 0, 'advice that ends bluetoothd')
    unharmed(bench)
    equal(bench.sim.battery()['stop-notify'], 0, 'calls of StopNotify')
    equal(bench.sim.battery()['start-notify'], 0, 'calls of StartNotify')
    bench.sim('bluez die', 'bluez start')
    TRUTH.check(exporter.fresh())


@test
def left_locked_on_a_link(bench):
    """The same where the link of the dead program is still there."""
    with_rival(bench, 'acquire unanswered', 'die')
    exporter = start(bench)
    has_fault(exporter, 'locked', needed=True)
    unharmed(bench)


@test
def left_locked_while_it_fails(bench):
    """A device that bluetoothd is to forget is not removed if notifications were left acquired."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + ',known')
    set_truth(bench.sim)
    bench.sim('fault * connect-fail org.bluez.Error.Failed le-connection-abort-by-local')
    exporter = bench.start('--poll.interval=10', '--log.level=debug')
    at = 0
    for _ in range(3):
        at = bench.sim.until('connect-failed', at)
    leave_locked(bench)  # within the 1.6 s before the next attempt
    has_fault(exporter, 'locked')
    unharmed(bench)


@test
def held(bench):
    """Notifications that a living program has acquired are left to it, and its link too."""
    with_rival(bench, 'acquire')
    exporter = start(bench)
    has_fault(exporter, 'locked', needed=True)
    unharmed(bench)
    equal(bench.sim.seen('(connect|disconnect) '), [], 'calls')
    equal(bench.sim.battery()['notify-acquired'], True, 'acquired')
    bench.sim('rival %s die' % ADDRESS)
    TRUTH.check(exporter.fresh())


@test
def acquired_on_the_way(bench):
    """Notifications that are acquired while we connect are left alone."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + ',known')
    set_truth(bench.sim)
    bench.sim('after Connect rival %s acquire unanswered' % ADDRESS)
    exporter = start(bench)
    has_fault(exporter, 'locked', needed=True)
    unharmed(bench)
    equal(bench.sim.seen('disconnect '), [], 'calls of Disconnect')
    equal(bench.sim.battery()['start-notify'], 0, 'calls of StartNotify')
    equal(bench.sim.battery()['stop-notify'], 0, 'calls of StopNotify')


@test
def refused_as_acquired(bench):
    """StartNotify that is refused as acquired is told as that, and no StopNotify follows."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + ',known')
    set_truth(bench.sim)
    bench.sim('refuse StartNotify org.bluez.Error.NotPermitted "Notify acquired"')
    exporter = start(bench)
    has_fault(exporter, 'locked')
    equal(bench.sim.battery()['stop-notify'], 0, 'calls of StopNotify')
    bench.sim('refuse StartNotify org.bluez.Error.NotPermitted x 0')
    TRUTH.check(exporter.fresh())


@test
def write_held(bench):
    """The same for the characteristic that is written to."""
    with_rival(bench, 'acquire-write')
    exporter = start(bench)
    has_fault(exporter, 'locked', needed=True)
    unharmed(bench)
    bench.sim('rival %s release' % ADDRESS)
    TRUTH.check(exporter.fresh())


@test
def write_acquired_on_a_session(bench):
    """A program that acquires writing while we read is told of as what it is."""
    exporter = true_board(bench, more=',known')
    exporter.fresh()
    bench.sim('rival %s acquire-write' % ADDRESS)
    has_fault(exporter, 'locked')
    unharmed(bench)


@test
def other_left_locked(bench):
    """A locked characteristic that we do not need: the board is read, and it is never removed."""
    with_rival(bench, 'leave-other', 'disconnect')
    bench.sim('refuse StartNotify org.bluez.Error.Failed "Operation failed with ATT error: 0x0e"')
    exporter = start(bench)
    has_fault(exporter, 'locked', needed=True)
    equal(exporter.count_log('bluetoothctl remove'), 0, 'advice that ends bluetoothd')
    unharmed(bench)
    bench.sim('refuse StartNotify org.bluez.Error.Failed x 0')
    TRUTH.check(exporter.fresh())


@test
def other_left_locked_while_it_fails(bench):
    """The same while connecting fails, which else has the device removed."""
    with_rival(bench, 'leave-other', 'disconnect')
    bench.sim('fault * connect-fail org.bluez.Error.Failed le-connection-abort-by-local')
    exporter = start(bench)
    at = 0
    for _ in range(5):
        at = bench.sim.until('connect-failed', at)
    has_fault(exporter, 'refused')
    unharmed(bench)
    bench.sim('clear *')
    TRUTH.check(exporter.fresh())


@test
def stopped_only_if_started(bench):
    """StopNotify follows a StartNotify that may stand, and no other."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + ',known')
    bench.sim('refuse StartNotify org.bluez.Error.Failed "Operation failed with ATT error: 0x0e" 1',
              'set notify-time 60')
    exporter = start(bench)
    exporter.logged('subscribing', exporter.logged('subscribe while subscribing'))
    bench.sim.until('resolved', bench.sim.until('resolved'))
    bench.eventually('StartNotify', lambda: bench.sim.battery()['start-notify'] == 1)
    equal(bench.sim.battery()['stop-notify'], 0, 'calls of StopNotify before')
    equal(exporter.stop(), 0, 'exit status')
    equal(bench.sim.battery()['stop-notify'], 1, 'calls of StopNotify')


# ---- another program that reads it ---------------------------------------------------------------

def second(bench, *arguments):
    """One more of our own, beside bench.exporter."""
    first = bench.exporter
    another = start(bench, *arguments)
    bench.exporter = first
    return another


@test
def two_of_our_own(bench):
    """A second exporter for the same board does not disturb the first one, and says why."""
    first = true_board(bench, more=',known')
    first.fresh()
    other = second(bench)
    other.logged('warning: .*%s.*; what helps: ' % CONTESTED)
    has_fault(other, 'contested', needed=True)
    metrics = first.metrics()
    equal(metrics('bms_up'), 1, 'bms_up of the first one')
    equal(metrics.sum('bms_link_sessions_total'), 1, 'its sessions')
    unharmed(bench)
    equal(other.count_log('closer'), 0, 'bad advice')
    equal(other.count_log('warning: |error: '), 2, 'lines')
    equal(first.stop(), 0, 'exit status')
    TRUTH.check(other.fresh())


def settled(bench, exporters):
    """At least one reads, and who does not says why."""
    def holds():
        scrapes = [each.metrics() for each in exporters]
        for metrics in scrapes:
            TRUTH.check(metrics)
        return all(metrics('bms_up') == 1 or metrics('bms_fault', fault='contested') == 1
                   for metrics in scrapes)
    bench.eventually('both to tell the truth', holds, 90)
    unharmed(bench)


def start_two(bench, faithful):
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + ',known', faithful=faithful)
    set_truth(bench.sim)
    start(bench)
    exporters = [bench.exporter, second(bench)]
    settled(bench, exporters)
    at = bench.sim.mark()
    bench.eventually('polls', lambda: all(
        each.metrics()('bms_polls_total') >= 30 for each in exporters))
    settled(bench, exporters)
    check(len(bench.sim.seen('disconnected', at)) <= 2, 'they go on fighting')
    for each in exporters:
        check(each.count_log('warning: |error: ') <= 5, 'the log is flooded')


@test
def two_at_once(bench):
    """Two exporters that start together come to terms."""
    start_two(bench, False)


@test
def two_at_once_slowly(bench):
    """The same with the times of a real radio."""
    start_two(bench, True)


@test
def reads_it_already(bench):
    """A program that reads the board keeps it, and we read it when that program lets it go."""
    with_rival(bench, 'notify')
    exporter = start(bench)
    has_fault(exporter, 'contested', needed=True)
    unharmed(bench)
    equal(bench.sim.seen('(connect|disconnect) '), [], 'calls')
    bench.sim('rival %s die' % ADDRESS)
    TRUTH.check(exporter.fresh())


@test
def comes_back_each_time(bench):
    """A program that connects again each time, and reads nothing, is left the link in the end."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + ',known')
    set_truth(bench.sim)
    exporter = start(bench)
    at = 0
    for _ in range(3):
        at = bench.sim.until('request', at)
        bench.sim('fault * drop-now', 'rival %s connect' % ADDRESS)
        at = bench.sim.mark()
    exporter.logged('warning: .*%s keeps connecting to it; what helps: ' % CONTESTED)
    has_fault(exporter, 'contested', needed=True)
    equal(bench.sim.seen('(connect|disconnect) ', at), [], 'calls since then')
    unharmed(bench)
    bench.sim('rival %s disconnect' % ADDRESS)
    TRUTH.check(exporter.fresh())


@test
def flaky_radio(bench):
    """Links that break, again and again, are no sign of another program."""
    exporter = true_board(bench, '--log.level=debug', more=',known')
    bench.sim('fault * drop-every 0.3')
    exporter.until(lambda m: m('bms_link_sessions_total', reason='link_loss') >= 10, 'losses')
    bench.sim('clear *', 'fault * abort-early 4')
    bench.sim('fault * drop-now')
    exporter.fresh()
    equal(exporter.count_log('contested'), 0, 'suspicions')


@test
def disconnect_hangs(bench):
    """A link that bluetoothd does not take down when it is told to is our own."""
    exporter = true_board(bench, '--log.level=debug', more=',known')
    exporter.fresh()
    bench.sim('fault * disconnect-hang', 'fault * silent')
    at = 0
    for _ in range(8):
        at = bench.sim.until('disconnect ', at)
    bench.sim('clear *', 'fault * drop-now')
    TRUTH.check(exporter.fresh())
    equal(exporter.count_log('contested'), 0, 'suspicions')


@test
def killed_before(bench):
    """The link of a process of ours that was killed is taken over at once."""
    first = true_board(bench, more=',known')
    first.fresh()
    first.stop(signal.SIGKILL)
    check(bench.sim.battery()['connected'], 'not connected')
    exporter = start(bench)
    TRUTH.check(exporter.fresh())
    equal(exporter.count_log('contested'), 0, 'suspicions')


@test
def own_session_left(bench):
    """A notify session of our own that outlived an adapter is not taken for another program's."""
    exporter = true_board(bench, '--log.level=debug', more=',known')
    exporter.fresh()
    for _ in range(2):
        at = bench.sim.mark()
        bench.sim('adapter off')
        exporter.until(lambda m: m('bms_up') == 0, 'readings to vanish')
        bench.sim('adapter on')
        bench.sim.until('notify .* on', at)
        TRUTH.check(exporter.fresh())
    equal(exporter.count_log('contested'), 0, 'suspicions')


run(Bench)
