#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""The ladder of recovery, as far as it reaches beyond the battery's own link."""
import os
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

import signal

from harness import ADDRESS, Bench, check, equal
from readings import TRUE_BOARD, TRUTH, set_truth, true_board
from tap import run, test

OTHER = 'A4:C1:38:00:00:02'
LIMIT = 90  # several rungs high, with the waits between them


def actions(metrics, battery=ADDRESS):
    return {dict(labels)['action']: value
            for labels, value in metrics.all('bms_recovery_actions_total', battery=battery).items()
            if value}


def refuse(bench, address=ADDRESS):
    bench.sim("fault %s connect-fail org.bluez.Error.Failed le-connection-abort-by-local" % address)


def took(name, battery=ADDRESS):
    return lambda metrics: actions(metrics, battery).get(name, 0) >= 1


@test
def remove_device(bench):
    """The third failure makes bluetoothd forget the device; it is found anew and read."""
    exporter = true_board(bench, more=',known')
    refuse(bench)
    at = bench.sim.until('remove-device ' + ADDRESS, limit=LIMIT)
    equal(len(bench.sim.seen('connect ')), 3, 'attempts before it')
    bench.sim('clear *')
    at = bench.sim.until('discovery on', at)
    at = bench.sim.until('discovery off', at)
    bench.sim.until('connect ', at)
    TRUTH.check(exporter.fresh())
    metrics = exporter.metrics()
    equal(actions(metrics)['remove_device'], 1, 'times counted')
    check(actions(metrics)['reconnect'] >= 3, 'reconnects: %s' % actions(metrics))
    equal(metrics('bms_operator_needed'), 0, 'bms_operator_needed')
    equal(metrics.sum('bms_fault'), 0, 'faults')


@test
def lines_can_be_used(bench):
    """Log and page call a battery by its name, and a command in a remedy has its address."""
    path = bench.directory + '/config'

    def write(name):
        with open(path, 'w') as file:
            file.write('[exporter]\npoll.interval = 1\nlog.level = debug\n[%s]\nname = %s\n' %
                       (ADDRESS, name))
    write('house')
    bench.start_bus()
    bench.start_sim(ADDRESS + ',known')
    bench.sim('fault * notify-fail org.bluez.Error.Failed no')
    exporter = bench.start('--config=' + path)
    remedy = 'bluetoothctl remove ' + ADDRESS
    exporter.logged('warning: house: notifications could not .*' + remedy)
    check(remedy in exporter.get('/').text, 'no command on the page')
    exporter.logged('house: removing the device from bluetoothd')
    write('home')
    bench.sim('clear *')
    exporter.signal(signal.SIGHUP)
    renamed = exporter.logged('the options were read again')
    exporter.logged('home: discovering services', renamed)
    equal([line for line in exporter.log if ADDRESS in line and remedy not in line], [],
          'lines with the address')
    equal([line for line in exporter.log[renamed:] if 'house' in line], [], 'the name before')


@test
def nothing_more_unasked(bench):
    """Without being allowed to it leaves the adapter alone; in the end it calls for a person, once."""
    exporter = true_board(bench, more=',known')
    refuse(bench)
    metrics = exporter.until(lambda m: m('bms_operator_needed') == 1, 'a call for a person', LIMIT)
    equal(metrics('bms_fault', fault='refused'), 1, 'the fault')
    check(not {'power_cycle', 'command'} & set(actions(metrics)), 'actions: %s' % actions(metrics))
    exporter.logged('needs attention: .*what helps: ')
    tries = len(bench.sim.seen('connect '))
    exporter.until(lambda m: len(bench.sim.seen('connect ')) >= tries + 3, 'more attempts', LIMIT)
    equal(exporter.count_log('needs attention'), 1, 'lines')
    equal(bench.sim.seen('powered'), [], 'switching of the adapter')
    bench.sim('clear *')
    metrics = exporter.fresh()
    equal(metrics('bms_operator_needed'), 0, 'bms_operator_needed')


@test
def power_cycle(bench):
    """--recover.power-cycle: the adapter goes off and on, once in a while, and is left on."""
    exporter = true_board(bench, '--recover.power-cycle', more=',known')
    refuse(bench)
    at = bench.sim.until('powered off', limit=LIMIT)
    at = bench.sim.until('powered on', at)
    exporter.until(lambda m: m('bms_operator_needed') == 1, 'a call for a person', LIMIT)
    equal(len(bench.sim.seen('powered off')), 1, 'times')
    equal(exporter.metrics()('bms_recovery_actions_total', action='power_cycle'), 1, 'counted')
    bench.sim('clear *')
    TRUTH.check(exporter.fresh())


@test
def adapter_is_not_left_off(bench):
    """A program that is ended in the middle of a power cycle switches the adapter on first."""
    exporter = true_board(bench, '--recover.power-cycle', more=',known')
    refuse(bench)
    bench.sim.until('powered off', limit=LIMIT)
    equal(exporter.stop(), 0, 'exit status')
    equal(bench.sim.state()['adapters'][0]['powered'], True, 'powered')


@test
def adapter_is_not_left_off_by_a_crash(bench):
    """An adapter that is off because the program was killed is switched on by the next one."""
    directory = bench.directory + '/run'
    os.mkdir(directory)
    env = {'RUNTIME_DIRECTORY': directory + ':/nonexistent'}
    exporter = true_board(bench, '--recover.power-cycle', more=',known', env=env)
    refuse(bench)
    at = bench.sim.until('powered off', limit=LIMIT)
    exporter.signal(signal.SIGKILL)
    equal(exporter.end(), -signal.SIGKILL, 'exit status')
    equal(bench.sim.state()['adapters'][0]['powered'], False, 'powered')
    bench.sim('clear *')
    exporter = bench.start('--poll.interval=500ms', env=env)
    bench.sim.until('powered on', at)
    TRUTH.check(exporter.fresh())
    equal(os.listdir(directory), [], 'files')
    # What a person switches off stays off.
    equal(exporter.stop(), 0, 'exit status')
    bench.sim('adapter off')
    exporter = bench.start('--poll.interval=500ms', env=env)
    exporter.logged('the Bluetooth adapter is off')
    equal(bench.sim.state()['adapters'][0]['powered'], False, 'powered')


@test
def told_once(bench):
    """What is done again in the same outage is not told again; in the next outage it is."""
    exporter = true_board(bench, '--session.renew=1', more=',known')
    line = 'removing the device from bluetoothd'
    for outage in (1, 2):
        at = bench.sim.mark()
        refuse(bench)
        bench.sim('fault * drop-now')
        for _ in range(2):
            at = bench.sim.until('remove-device', at, LIMIT)
        equal(exporter.count_log(line), outage, 'lines')
        bench.sim('clear *')
        renewals = exporter.metrics()('bms_link_sessions_total', reason='renewal')
        exporter.until(lambda m: m('bms_link_sessions_total', reason='renewal') > renewals,
                       'a renewal', LIMIT)


@test
def wedged_device(bench):
    """A device that only its removal cures is cured."""
    exporter = true_board(bench, more=',known')
    bench.sim('fault * wedged')
    TRUTH.check(exporter.fresh(limit=LIMIT))
    equal(actions(exporter.metrics())['remove_device'], 1, 'removals')


@test
def stale_services(bench):
    """Services that bluetoothd remembers wrongly until the device is removed are cured."""
    exporter = true_board(bench)
    exporter.fresh()
    bench.sim('fault * stale-services')
    TRUTH.check(exporter.until(lambda m: m('bms_up') == 0, 'readings to vanish'))
    TRUTH.check(exporter.fresh(limit=LIMIT))
    equal(actions(exporter.metrics())['remove_device'], 1, 'removals')


@test
def wedged_controller(bench):
    """A controller that only a power cycle cures is cured."""
    exporter = true_board(bench, '--recover.power-cycle', more=',known')
    bench.sim('adapter wedge')
    TRUTH.check(exporter.fresh(limit=LIMIT))
    equal(actions(exporter.metrics())['power_cycle'], 1, 'power cycles')


@test
def power_cycle_of_one_of_two(bench):
    """While it switches its adapter off and on itself it does not go over to another one."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + ',known', arguments=('--adapter=hci0', '--adapter=hci1'))
    set_truth(bench.sim)
    bench.sim('adapter wedge hci0')
    exporter = bench.start('--recover.power-cycle', '--poll.interval=500ms')
    TRUTH.check(exporter.fresh(limit=LIMIT))
    equal(bench.sim.battery()['adapter'], 'hci0', 'adapter')
    equal(bench.sim.seen('connect .* hci1'), [], 'connections by the other one')


@test
def power_cycle_that_fails(bench):
    """An adapter that cannot be switched on again is left for another one that is on."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + ',known', arguments=('--adapter=hci0', '--adapter=hci1'))
    set_truth(bench.sim)
    bench.sim('adapter wedge hci0')
    exporter = bench.start('--recover.power-cycle', '--poll.interval=500ms')
    bench.sim.until('powered off hci0', limit=LIMIT)
    bench.sim('adapter block hci0')
    exporter.logged('cannot be switched on again; it is tried every 5 s: Blocked through rfkill')
    TRUTH.check(exporter.fresh(limit=LIMIT))
    equal(bench.sim.battery()['adapter'], 'hci1', 'adapter')


@test
def not_while_another_is_read(bench):
    """Neither adapter nor command is touched while another battery is read."""
    witness = os.path.join(bench.directory, 'witness')
    bench.start_bus()
    bench.start_sim(ADDRESS + ',steady,known', OTHER + ',steady,known')
    refuse(bench)
    exporter = bench.start('--recover.power-cycle', '--recover.command=touch ' + witness,
                           '--poll.interval=1', ADDRESS, OTHER)
    metrics = exporter.until(
        lambda m: m('bms_operator_needed', battery=ADDRESS) == 1 and
        m('bms_up', battery=OTHER) == 1, 'a call for a person', LIMIT)
    equal(metrics.sum('bms_poll_failures_total', battery=OTHER), 0, 'polls the other one lost')
    check(not {'power_cycle', 'command'} & set(actions(metrics)), 'actions: %s' % actions(metrics))
    equal(bench.sim.seen('powered'), [], 'switching of the adapter')
    check(not os.path.exists(witness), 'the command was run')


@test
def command(bench):
    """--recover.command is run without a shell, once, and told what is wrong."""
    witness = os.path.join(bench.directory, 'witness')
    script = os.path.join(bench.directory, 'cure')
    with open(script, 'w') as file:
        file.write('#!/bin/sh\necho "$1,$#,$BMS_BATTERY,$BMS_ADDRESS,$BMS_FAULT,$BMS_DETAIL'
                   ',${NOTIFY_SOCKET-none}" >>%s\nexit 3\n' % witness)
    os.chmod(script, 0o755)
    exporter = true_board(bench, "--recover.command=%s 'a $(b) *'" % script, more=',known')
    refuse(bench)
    exporter.until(took('command'), 'the command', LIMIT)
    exporter.logged('ended with status 3')
    with open(witness) as file:
        lines = file.read().splitlines()
    equal(lines, ['a $(b) *,1,%s,%s,refused,connecting failed: le-connection-abort-by-local,none' %
                  (ADDRESS, ADDRESS)], 'what it was told')
    bench.sim('clear *')
    TRUTH.check(exporter.fresh())


@test
def command_and_stop(bench):
    """A command that runs when the program is ended is left to finish its work."""
    go, done = (os.path.join(bench.directory, name) for name in ('go', 'done'))
    script = os.path.join(bench.directory, 'cure')
    for path in go, done:
        os.mkfifo(path)
    with open(script, 'w') as file:
        file.write('#!/bin/sh\nread line <%s\necho done >%s\n' % (go, done))
    os.chmod(script, 0o755)
    exporter = true_board(bench, '--recover.command=' + script, more=',known')
    refuse(bench)
    exporter.logged('running ' + script, limit=LIMIT)
    exporter.signal(signal.SIGINT)
    bench.eventually('its end', lambda: exporter.status() is not None)
    equal(exporter.status(), 0, 'exit status')
    with open(go, 'w'):
        pass
    with open(done) as file:
        equal(file.read(), 'done\n', 'what the command did after that')
    exporter.end()


@test
def noisy(bench):
    """A link on which many answers come damaged is called noisy while it is read, and forgiven."""
    exporter = true_board(bench, '--poll.interval=1')
    exporter.fresh()
    while not exporter.count_log('the link is noisy'):
        at = bench.sim.mark()
        bench.sim('fault * corrupt 1')
        bench.sim.until('reply .* 04', at)
    exporter.logged('the link is noisy: [0-9]+ % of the answers arrive corrupted; what helps: ')
    equal(exporter.metrics()('bms_operator_needed'), 0, 'bms_operator_needed')
    exporter.logged('the link is good again', limit=LIMIT)


run(Bench)
