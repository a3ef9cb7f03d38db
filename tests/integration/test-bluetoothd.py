#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""Adapter, bluetoothd and the bus: missing, gone, back, hanging."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

import signal

from harness import ADDRESS, ADDRESS2, Bench, check, equal
from readings import TRUE_BOARD, TRUTH, set_truth, true_board
from tap import run, test


def reason_grew(exporter, reason):
    """Fresh again in a new session; the one before it ended for this reason."""
    metrics = exporter.until(
        lambda m: m.sum('bms_link_sessions_total') >= 2 and m('bms_up') == 1, 'a new session')
    TRUTH.check(metrics)
    counted = {dict(labels)['reason']: value
               for labels, value in metrics.all('bms_link_sessions_total').items() if value}
    equal(counted, {'start': 1, reason: 1}, 'sessions')


@test
def adapter_off_and_on(bench):
    """An adapter that is switched off is told of; switched on again, reading goes on at once."""
    exporter = true_board(bench)
    exporter.fresh()
    bench.sim('adapter off')
    exporter.logged('warning: .* the Bluetooth adapter is off or blocked')
    TRUTH.check(exporter.until(lambda m: m('bms_up') == 0, 'readings to vanish'))
    bench.sim('adapter on')
    reason_grew(exporter, 'adapter')


@test
def adapter_off_for_long(bench):
    """While the adapter is off nothing is tried; when it is on again there is no back-off."""
    exporter = true_board(bench)
    exporter.fresh()
    bench.sim('adapter off')
    before = exporter.until(lambda m: m('bms_poll_failures_total', reason='not_connected') >= 8,
                            'lost polls')
    equal(before('bms_up'), 0, 'bms_up')
    equal(bench.sim.seen('connect ', bench.sim.until('powered off')), [], 'attempts meanwhile')
    bench.sim('adapter on')
    after = exporter.fresh()
    check(after('bms_poll_failures_total', reason='not_connected') <=
          before('bms_poll_failures_total', reason='not_connected') + 4, 'back-off after a kick')
    check(exporter.count_log('adapter is off') == 1, 'the log repeats itself')


@test
def adapter_pulled(bench):
    """An adapter that is pulled out and comes back under another name is used again."""
    exporter = true_board(bench)
    exporter.fresh()
    bench.sim('adapter remove')
    exporter.logged('warning: .* (no such Bluetooth adapter|adapter is off)')
    bench.sim('adapter add hci1')
    reason_grew(exporter, 'adapter')
    equal(bench.sim.battery()['adapter'], 'hci1', 'adapter')


@test
def no_adapter_at_start(bench):
    """Without an adapter at the start it waits for one."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD)
    set_truth(bench.sim)
    bench.sim('adapter remove')
    exporter = bench.start('--poll.interval=500ms')
    exporter.logged('warning: .* no such Bluetooth adapter')
    bench.sim('adapter add hci0')
    TRUTH.check(exporter.fresh())


@test
def adapter_by_name(bench):
    """--adapter by name takes that adapter and no other."""
    exporter = true_board(bench, '--adapter=hci0')
    TRUTH.check(exporter.fresh())
    bench.sim('adapter remove', 'adapter add hci1')
    exporter.logged('warning: .* no such Bluetooth adapter')
    TRUTH.check(exporter.until(lambda m: m('bms_up') == 0, 'readings to vanish'))
    bench.sim('adapter remove', 'adapter add hci0')
    TRUTH.check(exporter.fresh())


@test
def adapter_by_address(bench):
    """--adapter by address takes it under whatever name it comes."""
    exporter = true_board(bench, '--adapter=00:1a:7d:da:71:13')
    TRUTH.check(exporter.fresh())
    bench.sim('adapter remove', 'adapter add hci7')
    reason_grew(exporter, 'adapter')


@test
def other_adapter(bench):
    """With --adapter naming another one, the one that is there is left alone."""
    exporter = true_board(bench, '--adapter=00:1A:7D:DA:71:14')
    exporter.logged('warning: .* no such Bluetooth adapter')
    metrics = exporter.until(lambda m: m('bms_poll_failures_total', reason='not_connected') >= 2,
                             'lost polls')
    equal(metrics('bms_up'), 0, 'bms_up')
    equal(bench.sim.seen('(connect|discovery) '), [], 'attempts')


@test
def bluetoothd_missing_at_start(bench):
    """Without bluetoothd at the start it waits for it."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD)
    set_truth(bench.sim)
    bench.sim('bluez die')
    exporter = bench.start('--poll.interval=500ms')
    exporter.logged('warning: .* bluetoothd is not running')
    equal(exporter.get('/-/ready').status, 200, 'ready without bluetoothd')
    bench.sim('bluez start')
    TRUTH.check(exporter.fresh())


@test
def bluetoothd_killed(bench):
    """bluetoothd killed with SIGKILL and started again: readings come back."""
    exporter = true_board(bench)
    exporter.fresh()
    bench.sim('bluez die')
    exporter.logged('warning: .* bluetoothd is not running')
    metrics = exporter.until(lambda m: m('bms_up') == 0, 'readings to vanish')
    equal(metrics('bms_connected'), 0, 'bms_connected')
    bench.sim('bluez start')
    reason_grew(exporter, 'bluez')


@test
def bluetoothd_restarted(bench):
    """bluetoothd stopped with SIGTERM and started again at once: readings come back."""
    exporter = true_board(bench)
    exporter.fresh()
    bench.sim('bluez term', 'bluez start')
    metrics = exporter.until(
        lambda m: m.sum('bms_link_sessions_total') == 2 and m('bms_up') == 1, 'a new session')
    TRUTH.check(metrics)
    # It first says that the adapter goes.
    check(metrics('bms_link_sessions_total', reason='bluez') +
          metrics('bms_link_sessions_total', reason='adapter') == 1, 'reason of the session')


@test
def bluetoothd_dies_at_any_stage(bench):
    """bluetoothd killed while finding, connecting, resolving, subscribing: it starts over."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD)
    set_truth(bench.sim)
    exporter = bench.start('--poll.interval=500ms')
    sim = bench.sim
    for slow, event in (('set discover-time 60', 'discovery on'),
                        ('set connect-time 60', 'connect '),
                        ('set resolve-time 60', 'connected'),
                        ('set notify-time 60', 'resolved'),
                        ('set latency 60', 'request')):
        at = sim.mark()
        sim('forget *', 'clear *', slow)
        sim.until(event, at)
        sim('bluez die')
        exporter.logged('bluetoothd is not running')
        sim('set discover-time 0.02', 'set connect-time 0.02', 'set resolve-time 0.02',
            'set notify-time 0.01', 'set latency 0.01', 'bluez start')
        at = sim.until('bluez on', at)
        sim.until('reply .* 04', at)
    TRUTH.check(exporter.fresh())


@test
def bluetoothd_hangs(bench):
    """A bluetoothd that hangs for a while: the link is given up, and readings come back."""
    exporter = true_board(bench)
    exporter.fresh()
    bench.sim('bluez hang')
    metrics = exporter.until(lambda m: m('bms_up') == 0, 'readings to vanish')
    TRUTH.check(metrics)
    exporter.until(lambda m: m('bms_polls_total') >= metrics('bms_polls_total') + 4, 'lost polls')
    bench.sim('bluez resume')
    TRUTH.check(exporter.fresh())


@test
def bluetoothd_hangs_at_start(bench):
    """A bluetoothd that hangs at the start is asked again until it answers."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD)
    set_truth(bench.sim)
    bench.sim('bluez hang')
    exporter = bench.start('--poll.interval=500ms')
    # So long that the first question has timed out, and its answer is not waited for any more.
    exporter.logged('warning: .*bluetoothd')
    bench.sim('bluez resume')
    TRUTH.check(exporter.fresh())


@test
def disconnect_hangs(bench):
    """A Disconnect that is never answered does not hold up the next session for ever."""
    exporter = true_board(bench)
    exporter.fresh()
    bench.sim('fault * disconnect-hang', 'fault * services-vanish')
    bench.sim.until('disconnect ')
    bench.sim('fault * services-return')
    # The link stays up in BlueZ: it is taken for one left over, and at last it does go.
    bench.sim.until('disconnect ', bench.sim.until('disconnect '))
    bench.sim('clear *', 'fault * drop-now')
    TRUTH.check(exporter.fresh())


@test
def bus_missing_at_start(bench):
    """Without a system bus at the start it waits for one, and is not ready."""
    exporter = bench.start('--poll.interval=500ms')
    exporter.logged('warning: .*no D-Bus system bus')
    answer = exporter.get('/-/ready')
    equal((answer.status, answer.text), (503, 'no D-Bus system bus\n'), '/-/ready')
    equal(exporter.get('/-/healthy').status, 200, '/-/healthy')
    equal(exporter.metrics()('bms_up'), 0, 'bms_up')
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD)
    set_truth(bench.sim)
    TRUTH.check(exporter.fresh())
    equal(exporter.get('/-/ready').status, 200, '/-/ready')


@test
def bus_dies(bench):
    """A system bus that dies and comes back: so do the readings."""
    exporter = true_board(bench)
    exporter.fresh()
    bench.sim.check()
    bench.bus.kill()
    exporter.logged('warning: .*the D-Bus system bus has gone')
    equal(exporter.get('/-/ready').status, 503, '/-/ready')
    bench.eventually('the end of bms-sim', lambda: bench.sim.status() is not None)
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD)
    set_truth(bench.sim)
    reason_grew(exporter, 'bluez')
    exporter.logged('the D-Bus system bus is there')


@test
def stopped_for_a_while(bench):
    """A process that did not run for a while counts the slots it has missed."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD, ADDRESS2)
    set_truth(bench.sim)
    exporter = bench.start('--poll.interval=500ms')
    before = exporter.fresh()
    clock = bench.start('--poll.interval=500ms', ADDRESS2)
    clock.fresh()
    exporter.signal(signal.SIGSTOP)
    at = bench.sim.mark()
    for _ in range(6):
        at = bench.sim.until('request %s 03' % ADDRESS2, at)
    exporter.signal(signal.SIGCONT)
    after = exporter.until(lambda m: m('bms_poll_failures_total', reason='missed') >= 2,
                           'missed polls')
    check(after('bms_polls_total') >= before('bms_polls_total') + 5, 'slots not counted')
    TRUTH.check(exporter.fresh())


run(Bench)
