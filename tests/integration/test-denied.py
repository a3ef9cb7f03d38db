#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""Errors that name their cause at whatever stage: the bus forbids it, or it is the wrong Bluetooth."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

from harness import ADDRESS, Bench, check, equal
from readings import TRUTH, true_board
from tap import run, test

PASSKEY = '048213'
FORBIDS = 'the D-Bus policy forbids talking to bluetoothd: '


INTERFACES = {
    'StartDiscovery': 'org.bluez.Adapter1', 'Connect': 'org.bluez.Device1',
    'Pair': 'org.bluez.Device1', 'StartNotify': 'org.bluez.GattCharacteristic1',
    'WriteValue': 'org.bluez.GattCharacteristic1', 'Set': 'org.freedesktop.DBus.Properties',
}


def rule(member):
    """The bus' own policy: the call does not reach the stand-in."""
    return ('<deny send_destination="org.bluez" send_interface="%s" send_member="%s"/>' %
            (INTERFACES[member], member))


def line(exporter, pattern):
    """Waits for a line of the log; returns it."""
    number = exporter.logged(pattern)
    return exporter.log[number - 1]


def start(bench, member, battery):
    bench.start_bus(rule(member))
    bench.start_sim(ADDRESS + ',steady' + battery)
    arguments = ['--poll.interval=500ms', ADDRESS + '=house']
    if 'passkey' in battery:
        path = bench.directory + '/passwords'
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), 'w') as file:
            file.write(PASSKEY)
        arguments.append('--battery.password-file=' + path)
    return bench.start(*arguments)


def denied(member, failed, battery=',known'):
    def function(bench):
        exporter = start(bench, member, battery)
        # At once: nothing that could be tried would help.
        told = line(exporter, 'error: house: .*%s%s: Rejected send message' % (FORBIDS, failed))
        metrics = exporter.until(lambda m: m('bms_fault', fault='denied') == 1, 'the fault')
        equal(metrics('bms_operator_needed'), 1, 'bms_operator_needed')
        check('container' in told, 'containers are not named: ' + told)
        equal(bench.sim.seen('remove-device|set-powered'), [], 'what touches BlueZ')
        check(FORBIDS in exporter.get('/').text.replace('&quot;', '"'), 'not on the page')
    function.__doc__ = 'The bus forbids %s: that is told at once, and nothing is touched.' % member
    test(function)


denied('StartDiscovery', 'discovery could not be started', '')
denied('Connect', 'connecting failed')
denied('Pair', 'connecting to pair failed', ',known,passkey=' + PASSKEY)
denied('StartNotify', 'notifications could not be switched on')
denied('WriteValue', 'writing failed')


@test
def denied_for_a_while(bench):
    """What the bus has forbidden and then allows is read, and the outage ends."""
    exporter = true_board(bench, more=',known')
    bench.sim("refuse StartNotify org.freedesktop.DBus.Error.AccessDenied 'An AppArmor policy' 2")
    exporter.logged(FORBIDS + '.*: An AppArmor policy')
    TRUTH.check(exporter.fresh())
    metrics = exporter.metrics()
    equal(metrics('bms_operator_needed'), 0, 'bms_operator_needed')
    equal(metrics.sum('bms_fault'), 0, 'faults')


@test
def denied_power(bench):
    """An adapter that may not be switched off is not switched on either, and others are read."""
    bench.start_bus(rule('Set'))
    bench.start_sim(ADDRESS + ',steady,known')
    exporter = bench.start('--recover.power-cycle', '--poll.interval=500ms', ADDRESS + '=house')
    bench.sim('fault * connect-fail org.bluez.Error.Failed le-connection-abort-by-local')
    exporter.logged('warning: adapter .* cannot be switched off: .*member="Set"', limit=60)
    at = exporter.logged('needs attention', limit=60)
    equal(exporter.count_log('switched on'), 0, 'attempts to switch on what was not switched off')
    bench.sim('clear *')
    exporter.logged('readings', at)


def classic(error, message, name):
    def function(bench):
        exporter = true_board(bench, more=',known')
        bench.sim("fault * connect-fail %s '%s' 2" % (error, message))
        told = line(exporter, 'warning: .*classic Bluetooth.*' + message)
        check('ControllerMode = le' in told, 'the remedy: ' + told)
        equal(exporter.metrics()('bms_fault', fault='bredr'), 1, 'fault')
        TRUTH.check(exporter.fresh())
    function.__doc__ = 'Connect over classic Bluetooth: ' + name
    test(function)


classic('org.bluez.Error.Failed', 'br-connection-page-timeout', 'a page time-out')
classic('org.bluez.Error.Failed', 'br-connection-unknown', 'no reason given')
classic('org.bluez.Error.NotAvailable', 'br-connection-profile-unavailable', 'no profile')
classic('org.bluez.Error.BREDR.ProfileUnavailable', 'No more profiles to connect to',
        'no profile, as newer versions say it')


run(Bench)
