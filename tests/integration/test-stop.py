#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""SIGTERM and SIGINT in every state: the end comes, with status 0, and nothing is left behind."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

import signal

from harness import ADDRESS, ADDRESS2, Bench, check, equal
from tap import run, test

SELDOM = '--poll.interval=10'  # between two polls there is room


def stop(bench, number=signal.SIGTERM):
    exporter = bench.exporter
    # 3 s are promised; the limit of the wait is that and a busy machine's grace.
    equal(exporter.stop(number, limit=3 + 7), 0, 'exit status')
    equal(exporter.count_log('stopping$'), 1, 'lines "stopping"')


def stopped_on_link(bench, at):
    """What BlueZ must be told where there is a link."""
    bench.sim.until('disconnect ', at)
    bench.sim.until('disconnected .* local', at)
    state = bench.sim.battery()
    equal((state['connected'], state['sessions']), (False, 0), 'link and notify sessions left')


def in_each_state(name, prepare):
    """Two tests: one for each signal."""
    for number in (signal.SIGTERM, signal.SIGINT):
        def function(bench, number=number):
            after = prepare(bench)
            stop(bench, number)
            if after:
                after()
        function.__doc__ = '%s %s' % (number.name, name)
        test(function)


def waiting_for_bus(bench):
    bench.start().logged('no D-Bus system bus')


def waiting_for_bluetoothd(bench):
    bench.start_bus()
    bench.start().logged('bluetoothd is not running')


def waiting_for_adapter(bench):
    bench.start_bus()
    bench.start_sim()
    bench.sim('adapter off')
    bench.start().logged('adapter is off')


def finding(bench):
    bench.start_bus()
    bench.start_sim(ADDRESS + ',absent')
    bench.start()
    at = bench.sim.until('discovery on')
    return lambda: bench.sim.until('discovery off', at)


def connecting(bench):
    bench.start_bus()
    bench.start_sim(ADDRESS + ',absent,known')
    bench.start()
    at = bench.sim.until('connect ')

    def after():
        bench.sim.until('disconnect ', at)
        check(not bench.sim.battery()['connecting'], 'Connect is still pending')
    return after


def resolving(bench):
    bench.start_bus()
    bench.start_sim()
    bench.sim('fault * resolve-never')
    bench.start()
    at = bench.sim.until('connected')
    return lambda: stopped_on_link(bench, at)


def subscribing(bench):
    bench.start_bus()
    bench.start_sim()
    bench.sim('set notify-time 30')
    bench.start()
    bench.sim.until('resolved')
    bench.eventually('StartNotify', lambda: bench.sim.battery()['start-notify'] == 1)
    at = bench.sim.mark()
    return lambda: stopped_on_link(bench, at)


def asking(bench):
    bench.start_bus()
    bench.start_sim()
    bench.sim('fault * silent')
    bench.start()
    at = bench.sim.until('request')
    return lambda: stopped_on_link(bench, at)


def idle(bench):
    bench.start_bus()
    bench.start_sim()
    bench.start(SELDOM)
    at = bench.sim.until('reply .* aa')
    bench.exporter.fresh()

    def after():
        off = bench.sim.until('notify .* off', at)
        check(off <= bench.sim.until('disconnect ', at), 'Disconnect before StopNotify')
        stopped_on_link(bench, at)
    return after


def idle_real_times(bench):
    bench.start_bus()
    bench.start_sim(faithful=True)
    bench.start(SELDOM)
    at = bench.sim.until('reply .* aa')
    bench.exporter.fresh()
    return lambda: stopped_on_link(bench, at)


def backing_off(bench):
    bench.start_bus()
    bench.start_sim(ADDRESS + ',known')
    bench.sim('fault * connect-fail org.bluez.Error.Failed refused')
    bench.start().logged('connecting failed: refused')
    # The wait after the third failure is long enough to be met.
    at = 0
    for _ in range(3):
        at = bench.sim.until('connect-failed', at)


def renewing(bench):
    bench.start_bus()
    bench.start_sim()
    bench.sim('set disconnect-time 1')
    bench.start('--poll.interval=1', '--session.renew=1')
    bench.sim.until('disconnect ')
    return lambda: bench.sim.until('disconnected .* local')


def hanging_bluetoothd(bench):
    bench.start_bus()
    bench.start_sim()
    bench.start(SELDOM)
    bench.exporter.fresh()
    bench.sim('bluez hang')

    def after():
        check('takes too long' in bench.exporter.log[-1], 'last line: ' + bench.exporter.log[-1])
        bench.sim('bluez resume')
    return after


def hanging_from_start(bench):
    bench.start_bus()
    bench.start_sim()
    bench.sim('bluez hang')
    bench.start()
    # It serves before it asks bluetoothd anything.
    equal(bench.exporter.metrics()('bms_up'), 0, 'bms_up')
    return lambda: bench.sim('bluez resume')


def several(bench):
    bench.start_bus()
    bench.start_sim(ADDRESS, ADDRESS2)
    bench.start(ADDRESS, ADDRESS2, SELDOM)
    bench.exporter.fresh(2)

    def after():
        for battery in bench.sim.state()['batteries']:
            equal((battery['connected'], battery['sessions']), (False, 0), 'left behind')
    return after


in_each_state('while there is no bus', waiting_for_bus)
in_each_state('while there is no bluetoothd', waiting_for_bluetoothd)
in_each_state('while the adapter is off', waiting_for_adapter)
in_each_state('while finding ends the discovery', finding)
in_each_state('while connecting cancels it', connecting)
in_each_state('while resolving disconnects', resolving)
in_each_state('while subscribing disconnects', subscribing)
in_each_state('while asking disconnects', asking)
in_each_state('while idle stops notifications, then disconnects', idle)
in_each_state('while idle, with the real times', idle_real_times)
in_each_state('while backing off', backing_off)
in_each_state('while renewing', renewing)
in_each_state('with a bluetoothd that hangs', hanging_bluetoothd)
in_each_state('with a bluetoothd that hangs from the start', hanging_from_start)
in_each_state('with two batteries disconnects both', several)


@test
def twice(bench):
    """A second signal ends it at once."""
    bench.start_bus()
    bench.start_sim()
    exporter = bench.start(SELDOM)
    exporter.fresh()
    bench.sim('bluez hang')
    exporter.signal(signal.SIGTERM)
    exporter.logged('stopping')
    equal(exporter.get('/-/ready').status, 503, '/-/ready while stopping')
    exporter.signal(signal.SIGINT)
    equal(exporter.end(), 0, 'exit status')
    equal(exporter.count_log('takes too long'), 0, 'waits')
    bench.sim('bluez resume')


run(Bench)
