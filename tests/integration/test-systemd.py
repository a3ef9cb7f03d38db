#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""What a service manager sees: notifications, watchdog, sockets handed over, journal prefixes."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

import os
import socket

from harness import ADDRESS, ADDRESS2, Bench, check, equal
from readings import TRUE_BOARD, set_truth
from tap import run, test


def notified(bench, *arguments, **env):
    notify = bench.notify_socket()
    exporter = bench.start('--poll.interval=500ms', *arguments,
                           env={'NOTIFY_SOCKET': notify.path, **env})
    return exporter, notify


@test
def ready_with_the_bus(bench):
    """READY=1 comes once, when the bus is there and not before; a battery is not needed"""
    exporter, notify = notified(bench)
    exporter.logged('no D-Bus system bus')
    notify.until('STATUS=.*no D-Bus system bus')
    equal(exporter.get('/-/ready').status, 503, '/-/ready')
    check('READY=1' not in notify.messages, 'ready without a bus')
    bench.start_bus()
    notify.until('READY=1')
    bench.start_sim(ADDRESS + TRUE_BOARD)
    set_truth(bench.sim)
    exporter.fresh()
    bench.sim.check()
    bench.bus.kill()
    exporter.logged('system bus has gone')
    bench.eventually('the end of bms-sim', lambda: bench.sim.status() is not None)
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD)
    set_truth(bench.sim)
    exporter.until(lambda m: m('bms_link_sessions_total', reason='bluez') == 1, 'a new session')
    exporter.stop()
    equal(notify.messages.count('READY=1'), 1, 'times ready')


@test
def status_texts(bench):
    """STATUS tells how the battery is, and STOPPING=1 the end"""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + ',absent')
    set_truth(bench.sim)
    exporter, notify = notified(bench, ADDRESS + '=house')
    at = notify.until('STATUS=house: looking for the battery$')
    bench.sim('present *')
    at = notify.until('STATUS=house: reading$', at)
    bench.sim('fault * silent')
    at = notify.until('STATUS=house: .*silent', at)
    bench.sim('clear *')
    at = notify.until('STATUS=house: reading$', at)
    bench.sim('adapter off')
    at = notify.until('STATUS=house: .*adapter is off', at)
    exporter.stop()
    at = notify.until('STOPPING=1', at)
    check(all(a != b for a, b in zip(notify.messages, notify.messages[1:])), 'repeats itself')


@test
def status_of_two(bench):
    """STATUS tells of each battery"""
    bench.start_bus()
    bench.start_sim(ADDRESS, ADDRESS2)
    _, notify = notified(bench, ADDRESS + '=first', ADDRESS2 + '=second')
    notify.until('STATUS=first: reading; second: reading$')


@test
def watchdog(bench):
    """WATCHDOG=1 comes again and again, with and without a battery"""
    bench.start_bus()
    bench.start_sim(ADDRESS)
    exporter, notify = notified(bench, WATCHDOG_USEC='400000')
    at = notify.until('WATCHDOG=1')
    at = notify.until('WATCHDOG=1', at)
    exporter.fresh()
    bench.sim('bluez hang')
    at = notify.until('STATUS=.*silent', at)
    for _ in range(4):
        at = notify.until('WATCHDOG=1', at)
    bench.sim('bluez resume', 'bluez die')
    at = notify.until('STATUS=.*bluetoothd is not running', at)
    for _ in range(4):
        at = notify.until('WATCHDOG=1', at)
    bench.sim('bluez start')


@test
def watchdog_of_another(bench):
    """A watchdog that is meant for another process is not fed"""
    bench.start_bus()
    bench.start_sim(ADDRESS)
    exporter, notify = notified(bench, WATCHDOG_USEC='20000', WATCHDOG_PID='1')
    exporter.until(lambda m: m('bms_polls_total') >= 3, 'three slots')
    check('WATCHDOG=1' not in notify.messages, 'fed')


@test
def no_notify_socket(bench):
    """A NOTIFY_SOCKET that nobody listens to does no harm"""
    bench.start_bus()
    bench.start_sim(ADDRESS)
    exporter = bench.start('--poll.interval=500ms',
                           env={'NOTIFY_SOCKET': bench.directory + '/nothing'})
    exporter.fresh()


@test
def socket_activation(bench):
    """A socket that is handed over is served, and takes the place of --web.listen-address"""
    bench.start_bus()
    bench.start_sim(ADDRESS)
    with socket.create_server(('127.0.0.1', 0)) as taken:
        exporter = bench.start('--web.listen-address=127.0.0.1:%d' % taken.getsockname()[1])
        exporter.fresh()
        equal(exporter.count_log('serving|listen'), 0, 'lines about listening')


@test
def sockets_of_another(bench):
    """Sockets that are meant for another process are not touched"""
    bench.start_bus()
    bench.start_sim(ADDRESS)
    with socket.create_server(('127.0.0.1', 0)) as taken:
        exporter = bench.start('--web.listen-address=127.0.0.1:%d' % taken.getsockname()[1],
                               env={'LISTEN_FDS': '1', 'LISTEN_PID': '1'}, hand_over=False)
        equal(exporter.end(), 1, 'exit status')
        exporter.logged('already in use')


@test
def not_a_socket(bench):
    """A descriptor that is no listening socket ends it with status 1 and a reason"""
    read, write = os.pipe()
    try:
        exporter = bench.start(env={}, hand_over=read)
        equal(exporter.end(), 1, 'exit status')
        exporter.logged('error: cannot serve the socket')
    finally:
        os.close(read)
        os.close(write)


@test
def journal_prefixes(bench):
    """Lines for the journal begin with their priority, and only if stderr is the journal"""
    bench.start_bus()
    bench.start_sim(ADDRESS + ',absent')
    bench.sim('adapter off')
    exporter = bench.start('--log.level=debug', env={'JOURNAL_STREAM': 'stderr'})
    exporter.logged('<4>%s: the Bluetooth adapter is off' % ADDRESS)
    exporter.stop()
    check(all(line.startswith(('<7>', '<6>', '<4>', '<3>')) for line in exporter.log),
          'lines: %s' % exporter.log[:3])
    check(exporter.count_log('^<6>stopping$') == 1 and exporter.count_log('^<7>') > 0, 'levels')
    exporter = bench.start(env={'JOURNAL_STREAM': '1:1'})
    exporter.logged('bms-exporter: warning: ')


@test
def log_levels(bench):
    """--log.level decides what is told"""
    bench.start_bus()
    bench.start_sim(ADDRESS)
    for level, shown in (('debug', {'debug: ', 'first readings'}), ('info', {'first readings'}),
                         ('warn', set()), ('error', set())):
        exporter = bench.start('--poll.interval=500ms', '--log.level=' + level)
        exporter.fresh()
        exporter.stop()
        for text in ('debug: ', 'first readings'):
            equal(exporter.count_log(text) > 0, text in shown, '"%s" at level %s' % (text, level))


@test
def blocked_stderr(bench):
    """A log that nobody reads does not stop the polls"""
    bench.start_bus()
    bench.start_sim(ADDRESS)
    exporter = bench.start('--poll.interval=500ms', '--log.level=debug', deaf=True)
    exporter.fresh()
    for _ in range(400):  # each makes a line of its own
        exporter.get('/-/healthy')
    at = bench.sim.mark()
    for _ in range(3):
        at = bench.sim.until('reply .* 04', at)
    equal(exporter.metrics()('bms_up'), 1, 'bms_up')


run(Bench)
