#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""Several adapters: which one is used, and what happens when it goes off or away."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

from harness import ADDRESS, Bench, check, equal
from readings import TRUE_BOARD, TRUTH, set_truth
from tap import run, test

FIRST = '00:1A:7D:DA:71:13'
SECOND = '00:1A:7D:DA:71:14'


def two_adapters(bench, *arguments, first='hci0', second='hci1', battery=ADDRESS + TRUE_BOARD):
    bench.start_bus()
    bench.start_sim(battery, arguments=('--adapter=' + first, '--adapter=' + second))
    set_truth(bench.sim)
    return bench.start('--poll.interval=500ms', *arguments)


def moved(bench, exporter, adapter, sessions=2):
    """Fresh again, in a new session, by this adapter."""
    metrics = exporter.until(
        lambda m: m.sum('bms_link_sessions_total') >= sessions and m('bms_up') == 1, 'a new session')
    TRUTH.check(metrics)
    equal(bench.sim.battery()['adapter'], adapter, 'adapter')
    return metrics


def never_used(bench, adapter):
    equal(bench.sim.seen('(connect .*|discovery on) %s$' % adapter), [], 'uses of ' + adapter)


@test
def by_name(bench):
    """--adapter=hci1 uses the second adapter and never the first."""
    exporter = two_adapters(bench, '--adapter=hci1')
    TRUTH.check(exporter.fresh())
    equal(bench.sim.battery()['adapter'], 'hci1', 'adapter')
    never_used(bench, 'hci0')


@test
def by_address(bench):
    """--adapter by address uses the adapter that has it, in either case of letters."""
    exporter = two_adapters(bench, '--adapter=' + SECOND.lower())
    TRUTH.check(exporter.fresh())
    equal(bench.sim.battery()['adapter'], 'hci1', 'adapter')
    never_used(bench, 'hci0')


@test
def none_such(bench):
    """--adapter that names none of two adapters uses neither, and says so."""
    exporter = two_adapters(bench, '--adapter=hci2')
    exporter.logged('warning: .* no such Bluetooth adapter')
    exporter.until(lambda m: m('bms_poll_failures_total', reason='not_connected') >= 2, 'lost polls')
    never_used(bench, 'hci[01]')
    bench.sim('adapter add hci2 00:1A:7D:DA:71:99')
    TRUTH.check(exporter.fresh())
    equal(bench.sim.battery()['adapter'], 'hci2', 'adapter')


@test
def first_powered(bench):
    """Without --adapter the first one that is on is used."""
    exporter = two_adapters(bench, first='hci0,%s,off' % FIRST)
    TRUTH.check(exporter.fresh())
    equal(bench.sim.battery()['adapter'], 'hci1', 'adapter')
    never_used(bench, 'hci0')


@test
def first_of_two(bench):
    """Without --adapter the first one of two is used, in whatever order they came."""
    exporter = two_adapters(bench, first='hci1', second='hci0')
    TRUTH.check(exporter.fresh())
    equal(bench.sim.battery()['adapter'], 'hci0', 'adapter')
    never_used(bench, 'hci1')


@test
def goes_off(bench):
    """Without --adapter, when the used adapter is switched off it goes on with the other one."""
    exporter = two_adapters(bench)
    exporter.fresh()
    bench.sim('adapter off hci0')
    moved(bench, exporter, 'hci1')
    # And back, when that one goes off; the first being on again alone changes nothing.
    at = bench.sim.mark()
    bench.sim('adapter on hci0')
    for _ in range(3):
        at = bench.sim.until('reply .* 04', at)
    equal(bench.sim.battery()['adapter'], 'hci1', 'adapter')
    bench.sim('adapter off hci1')
    moved(bench, exporter, 'hci0', 3)


@test
def blocked(bench):
    """Without --adapter, when the used adapter is blocked by rfkill it goes on with the other one."""
    exporter = two_adapters(bench)
    exporter.fresh()
    bench.sim('adapter block hci0')
    moved(bench, exporter, 'hci1')


@test
def pulled(bench):
    """Without --adapter, when the used adapter is pulled out it goes on with the other one."""
    exporter = two_adapters(bench)
    exporter.fresh()
    bench.sim('adapter remove hci0')
    moved(bench, exporter, 'hci1')


@test
def pulled_while_searching(bench):
    """The same while the battery is still being searched for."""
    exporter = two_adapters(bench)
    bench.sim('absent ' + ADDRESS + ' hci0')
    bench.sim.until('discovery on hci0')
    bench.sim('adapter remove hci0')
    TRUTH.check(exporter.fresh())
    equal(bench.sim.battery()['adapter'], 'hci1', 'adapter')


@test
def named_goes_off(bench):
    """With --adapter, when that one is switched off it waits for it, and uses no other."""
    exporter = two_adapters(bench, '--adapter=hci0')
    exporter.fresh()
    bench.sim('adapter off hci0')
    exporter.logged('warning: .* the Bluetooth adapter is off')
    TRUTH.check(exporter.until(lambda m: m('bms_poll_failures_total', reason='not_connected') >= 3,
                               'lost polls'))
    never_used(bench, 'hci1')
    bench.sim('adapter on hci0')
    moved(bench, exporter, 'hci0')
    never_used(bench, 'hci1')


@test
def comes_back_renamed(bench):
    """An adapter given by address is used again under another name, though another has its old."""
    exporter = two_adapters(bench, '--adapter=' + FIRST)
    exporter.fresh()
    bench.sim('adapter remove hci0', 'adapter remove hci1')
    bench.sim('adapter add hci0 ' + SECOND)
    exporter.logged('warning: .* no such Bluetooth adapter|warning: .*adapter is off')
    bench.sim('adapter add hci1 ' + FIRST)
    moved(bench, exporter, 'hci1')
    equal(bench.sim.seen('connect .* hci0', bench.sim.until('adapter remove /org/bluez/hci1')), [],
          'connections by the other one')


@test
def other_goes(bench):
    """An adapter that is not used may go off and away; the session goes on."""
    exporter = two_adapters(bench)
    exporter.fresh()
    bench.sim('adapter off hci1', 'adapter on hci1', 'adapter remove hci1', 'adapter add hci1')
    at = bench.sim.mark()
    for _ in range(3):
        at = bench.sim.until('reply .* 04', at)
    metrics = exporter.metrics()
    equal(metrics.sum('bms_link_sessions_total'), 1, 'sessions')
    equal(bench.sim.battery()['links'], 1, 'links')


@test
def known_to_other(bench):
    """A Device1 that another adapter has is not taken for the one of the adapter in use."""
    exporter = two_adapters(bench, '--adapter=hci1', battery=ADDRESS + TRUE_BOARD + ',absent')
    bench.sim.until('discovery on hci1')
    # It is found by the other adapter first.
    bench.sim('absent %s hci1' % ADDRESS, 'known ' + ADDRESS)
    bench.sim('present %s' % ADDRESS)
    TRUTH.check(exporter.fresh())
    never_used(bench, 'hci0')
    check(bench.sim.battery()['links'] == 1, 'more than one link')


run(Bench)
