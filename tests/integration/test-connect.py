#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""From an address to a link: finding, connecting, resolving, subscribing, writing."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

import signal

from harness import ADDRESS, Bench, check, equal
from readings import TRUE_BOARD, TRUTH, set_truth, true_board
from tap import run, test


@test
def unknown_to_bluez(bench):
    """A battery that BlueZ does not know is found by a discovery, which ends before Connect."""
    exporter = true_board(bench)
    TRUTH.check(exporter.fresh())
    at = bench.sim.until('discovery on')
    at = bench.sim.until('device-added', at)
    at = bench.sim.until('discovery off', at)
    bench.sim.until('connect ', at)


@test
def known_to_bluez(bench):
    """A battery that BlueZ knows is connected to without a discovery."""
    exporter = true_board(bench, more=',known')
    TRUTH.check(exporter.fresh())
    equal(bench.sim.seen('discovery on'), [], 'discoveries')


@test
def absent_then_present(bench):
    """A battery that is away at the start is read when it comes."""
    exporter = true_board(bench, more=',absent')
    bench.sim.until('discovery on')
    equal(exporter.metrics()('bms_up'), 0, 'bms_up')
    bench.sim('present *')
    TRUTH.check(exporter.fresh())


@test
def known_but_absent(bench):
    """A battery that BlueZ knows but is away is read when it comes."""
    exporter = true_board(bench, more=',known,absent')
    bench.sim.until('connect ')
    metrics = exporter.until(lambda m: m('bms_poll_failures_total', reason='not_connected') >= 2,
                             'failures')
    equal(metrics('bms_up'), 0, 'bms_up')
    bench.sim('present *')
    TRUTH.check(exporter.fresh())
    equal(bench.sim.battery()['links'], 1, 'links')


@test
def vanishes_and_returns(bench):
    """A battery that is carried away is missed, and read again when it is back."""
    exporter = true_board(bench)
    exporter.fresh()
    at = bench.sim.mark()
    bench.sim('absent *')
    at = bench.sim.until('disconnected .* timeout', at)
    TRUTH.check(exporter.until(lambda m: m('bms_up') == 0, 'readings to vanish'))
    bench.sim('present *')
    TRUTH.check(exporter.fresh())
    equal(exporter.metrics()('bms_link_sessions_total', reason='link_loss'), 1, 'sessions')


@test
def forgotten(bench):
    """A battery that somebody makes BlueZ forget is discovered again."""
    exporter = true_board(bench)
    exporter.fresh()
    at = bench.sim.mark()
    bench.sim('forget *')
    at = bench.sim.until('discovery on', at)
    bench.sim.until('connected', at)
    TRUTH.check(exporter.until(
        lambda m: m('bms_link_sessions_total', reason='link_loss') == 1 and m('bms_up') == 1,
        'a new session'))


def refused(error, message, name):
    @test
    def function(bench):
        exporter = true_board(bench, more=',known')
        bench.sim("fault * connect-fail %s '%s' 2" % (error, message))
        TRUTH.check(exporter.fresh())
        equal(len(bench.sim.seen('connect-failed')), 2, 'refusals')
        equal(bench.sim.battery()['links'], 1, 'links')
        exporter.logged('warning: .*connecting failed: ' + message)
        exporter.logged('first readings')
    function.__doc__ = 'A Connect that fails is tried again: ' + name


refused('org.bluez.Error.Failed', 'le-connection-abort-by-local', 'abort by local')
refused('org.bluez.Error.Failed', 'Software caused connection abort', 'aborted')
refused('org.bluez.Error.Failed', 'Input/output error', 'input/output error')
refused('org.bluez.Error.NotReady', 'Resource Not Ready', 'not ready')
refused('org.bluez.Error.InProgress', 'In Progress', 'in progress')
refused('org.bluez.Error.Failed', 'Operation already in progress', 'in progress, as 5.66 says it')
refused('com.example.Unheard', 'of', 'an error that is not known')


@test
def backs_off(bench):
    """A Connect that fails again and again is tried ever more rarely, and told of once."""
    exporter = true_board(bench, more=',known')
    bench.sim('fault * connect-fail org.bluez.Error.Failed le-connection-abort-by-local')
    exporter.until(lambda m: m('bms_poll_failures_total', reason='not_connected') >= 6,
                   'six lost polls')
    # In 3 s: at once, after 0.25 s, 1 s more, 2 s more.
    tries = len(bench.sim.seen('connect '))
    check(2 <= tries <= 6, '%d tries in six slots' % tries)
    equal(exporter.count_log('connecting failed'), 1, 'lines')


def first_connected(setting, name):
    @test
    def function(bench):
        bench.start_bus()
        bench.start_sim(ADDRESS + TRUE_BOARD)
        set_truth(bench.sim)
        # Slow enough that all that is told of the link comes before its services.
        bench.sim('set first-connected ' + setting, 'set resolve-time 0.5')
        exporter = bench.start('--poll.interval=500ms', '--session.renew=1')
        metrics = exporter.until(
            lambda m: m('bms_link_sessions_total', reason='renewal') >= 1 and m('bms_up') == 1,
            'a renewal')
        TRUTH.check(metrics)
        equal(exporter.count_log('warning'), 0, 'warnings')
    function.__doc__ = 'A first link is used at once when Connected: true is %s' % name


first_connected('always', 'told')
first_connected('never', 'not told')


@test
def breaks_early(bench):
    """A link that is told of and breaks before Connect has succeeded is tried again."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + ',known')
    set_truth(bench.sim)
    bench.sim('set first-connected always', 'fault * abort-early 2')
    exporter = bench.start('--poll.interval=500ms')
    TRUTH.check(exporter.fresh())
    exporter.logged('warning: .*connecting failed: le-connection-abort-by-local')
    equal(bench.sim.battery()['links'], 1, 'links')


@test
def breaks_before_resolved(bench):
    """A link that breaks before its services are resolved is replaced."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + ',known')
    set_truth(bench.sim)
    bench.sim('fault * resolve-delay 60')
    exporter = bench.start('--poll.interval=500ms')
    bench.sim.until('connected')
    bench.sim('clear *', 'fault * drop-now')
    TRUTH.check(exporter.fresh())
    exporter.logged('warning: .*the connection broke')
    equal(bench.sim.battery()['links'], 2, 'links')


@test
def connect_hangs(bench):
    """A Connect that is never answered is given up, and cancelled by Disconnect."""
    # Other batteries that wait make the wait for this one short.
    exporter = true_board(bench, '--poll.interval=2', ADDRESS, 'A4:C1:38:00:00:02', more=',known')
    bench.sim('fault * connect-hang 1')
    at = bench.sim.until('connect ' + ADDRESS)
    at = bench.sim.until('disconnect ' + ADDRESS, at)
    TRUTH.check(exporter.until(lambda m: m('bms_up', battery=ADDRESS) == 1, 'readings'),
                legacy_label=True)
    exporter.logged('warning: %s: connecting took too long' % ADDRESS)


@test
def objects_late(bench):
    """GATT objects that come after ServicesResolved are waited for."""
    exporter = true_board(bench)
    bench.sim('fault * resolve-before-objects 0.6')
    TRUTH.check(exporter.fresh())
    equal(bench.sim.battery()['links'], 1, 'links')


@test
def slow_resolving(bench):
    """Services that take long to be resolved are waited for."""
    exporter = true_board(bench)
    bench.sim('fault * resolve-delay 3')
    TRUTH.check(exporter.fresh())
    equal(bench.sim.battery()['links'], 1, 'links')


@test
def never_resolved(bench):
    """Services that never come end the link, and another is tried."""
    exporter = true_board(bench)
    bench.sim('fault * resolve-never')
    exporter.logged('warning: .* its GATT services were not resolved')
    bench.sim('clear *')
    TRUTH.check(exporter.fresh())
    check(bench.sim.battery()['links'] >= 2, 'no second link')


@test
def wrong_services(bench):
    """A device that is no JBD board is told of with the services it has."""
    exporter = true_board(bench)
    bench.sim('fault * wrong-services')
    exporter.logged('warning: .* not a JBD board: services seen are .*ffe0 \(as of JK')
    metrics = exporter.metrics()
    equal(metrics('bms_up'), 0, 'bms_up')
    equal(bench.sim.battery()['requests-total'], 0, 'requests')


@test
def no_service(bench):
    """A board whose service is missing for a while is read when it is there."""
    exporter = true_board(bench)
    bench.sim('fault * no-service')
    exporter.logged('warning: .* not a JBD board: services seen are 18')
    bench.sim('clear *')
    TRUTH.check(exporter.fresh())


@test
def services_vanish(bench):
    """Services that vanish while linked end the session; the next one finds their new paths."""
    exporter = true_board(bench)
    exporter.fresh()
    at = bench.sim.mark()
    bench.sim('fault * services-vanish')
    at = bench.sim.until('disconnect ', at)
    exporter.logged('its services have vanished')
    bench.sim('fault * services-return')
    TRUTH.check(exporter.until(
        lambda m: m('bms_link_sessions_total', reason='link_loss') >= 1 and m('bms_up') == 1,
        'a new session'))


@test
def notify_fails(bench):
    """StartNotify that fails ends the link, and another is tried."""
    exporter = true_board(bench)
    bench.sim("fault * notify-fail org.bluez.Error.Failed 'Operation failed: 0x0e' 2")
    TRUTH.check(exporter.fresh())
    exporter.logged('warning: .* notifications could not be switched on: .*0x0e')
    equal(bench.sim.battery()['links'], 3, 'links')


@test
def write_fails(bench):
    """WriteValue that fails ends the link, and another is tried."""
    exporter = true_board(bench)
    bench.sim("fault * write-fail org.bluez.Error.Failed 'Failed to initiate write' 1")
    TRUTH.check(exporter.fresh())
    exporter.logged('warning: .* writing failed: Failed to initiate write')
    equal(bench.sim.battery()['links'], 2, 'links')


@test
def write_not_connected(bench):
    """WriteValue that finds no link, twice, counts as a lost link."""
    exporter = true_board(bench)
    exporter.fresh()
    # Twice: while all goes well bluetoothd is not asked how a write went, but the second time it is.
    bench.sim("fault * write-fail org.bluez.Error.Failed 'Not connected' 2")
    TRUTH.check(exporter.until(
        lambda m: m('bms_link_sessions_total', reason='link_loss') == 1 and m('bms_up') == 1,
        'a new session'))


@test
def write_busy(bench):
    """WriteValue that is refused once as busy is repeated on the same link."""
    exporter = true_board(bench)
    exporter.fresh()
    bench.sim("fault * write-fail org.bluez.Error.InProgress 'In Progress' 1")
    at = bench.sim.mark()
    for _ in range(3):
        at = bench.sim.until('reply .* 04', at)
    TRUTH.check(exporter.metrics())
    equal(bench.sim.battery()['links'], 1, 'links')


@test
def write_only_by_request(bench):
    """A characteristic that takes requests only is written to with requests."""
    exporter = true_board(bench, more=',write=request')
    TRUTH.check(exporter.fresh())
    equal(bench.sim.battery()['writes-command'], 0, 'commands')


@test
def write_only_by_command(bench):
    """A characteristic that takes commands only is written to with commands."""
    exporter = true_board(bench, more=',write=command')
    TRUTH.check(exporter.fresh())
    equal(bench.sim.battery()['writes-request'], 0, 'requests')


@test
def commands_preferred(bench):
    """Where both are possible, a healthy board is written to with commands."""
    exporter = true_board(bench, '--session.renew=1')
    exporter.until(lambda m: m('bms_link_sessions_total', reason='renewal') >= 2 and
                   m('bms_up') == 1, 'renewals')
    equal(bench.sim.battery()['writes-request'], 0, 'requests')


@test
def deaf_to_commands(bench):
    """A board that does not listen to the commands it takes is read by requests, and stays so."""
    exporter = true_board(bench, '--poll.interval=1', '--session.renew=1', more=',deaf=command')
    TRUTH.check(exporter.until(lambda m: m('bms_up') == 1 and
                               m('bms_link_sessions_total', reason='renewal') >= 2, 'renewals'))
    commands = bench.sim.battery()['writes-command']
    at = bench.sim.mark()
    for _ in range(2):
        at = bench.sim.until('disconnected .* local', at)
    exporter.fresh()
    equal(bench.sim.battery()['writes-command'], commands, 'commands')


@test
def deaf_to_requests(bench):
    """A board that does not listen to the requests it takes is read by commands."""
    exporter = true_board(bench, more=',deaf=request')
    TRUTH.check(exporter.fresh())
    equal(bench.sim.battery()['writes-request'], 0, 'requests')


@test
def found_by_its_flags(bench):
    """A module FFF0 that takes requests only is read."""
    exporter = true_board(bench, more=',module=fff0,write=request')
    TRUTH.check(exporter.fresh())


@test
def other_module(bench):
    """A module with service FFF0 is read like one with FF00."""
    exporter = true_board(bench, more=',module=fff0')
    TRUTH.check(exporter.fresh())


@test
def left_over_link(bench):
    """A link that a killed process has left behind is taken down first."""
    first = true_board(bench)
    first.fresh()
    equal(first.stop(signal.SIGKILL), -signal.SIGKILL, 'exit status')
    check(bench.sim.battery()['connected'], 'BlueZ has not kept the link')
    at = bench.sim.mark()
    second = bench.start('--poll.interval=500ms')
    TRUTH.check(second.fresh())
    down = bench.sim.until('disconnected .* local', at)
    check(down < bench.sim.until('connect ', at), 'connected before the old link was down')
    equal(second.metrics().sum('bms_link_sessions_total'), 1, 'sessions')


run(Bench)
