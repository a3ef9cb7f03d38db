#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""Answers of the bus and of bluetoothd that come late, never, or in an awkward order."""
import os
import re
import select
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

from harness import ADDRESS, ADDRESS2, Bench, check, equal
from readings import TRUE_BOARD, TRUTH, set_truth, true_board
from slow_bus import SilentBus, SlowBus
from tap import run, test

DEVICE = '/org/bluez/hci0/dev_' + ADDRESS.replace(':', '_')
NOTIFY = DEVICE + '/service0010/char0011'


def start_sim(bench, *adapters, more=''):
    """Bus and sim, no exporter yet."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + more, arguments=['--adapter=' + a for a in adapters])
    set_truth(bench.sim)
    return bench.sim


def polls(bench, count, after):
    """Waits for so many polls with an answer."""
    for _ in range(count):
        after = bench.sim.until('reply .* 04', after)
    return after


# ---- the bus -------------------------------------------------------------------------------------

@test
def silent_bus(bench):
    """A system bus that takes the connection and says nothing is told of, and tried again."""
    silent = SilentBus(bench.directory + '/bus')
    bench.started.append(silent)
    exporter = bench.start('--poll.interval=500ms')
    exporter.logged('warning: .*the D-Bus system bus does not answer', limit=60)
    equal(exporter.get('/-/ready').status, 503, '/-/ready')
    equal(exporter.metrics()('bms_up'), 0, 'bms_up')
    silent.kill()
    start_sim(bench)
    TRUTH.check(exporter.fresh(limit=60))


@test
def silent_bus_and_stop(bench):
    """A system bus that says nothing does not keep the program from ending."""
    bench.started.append(SilentBus(bench.directory + '/bus'))
    exporter = bench.start()
    equal(exporter.get('/-/ready').status, 503, '/-/ready')
    equal(exporter.stop(), 0, 'exit status')


@test
def name_owner_late(bench):
    """A bus that tells too late who owns org.bluez is asked again."""
    bench.start_bus()
    slow = SlowBus(bench, bench.directory + '/slow', bench.directory + '/bus')
    bench.started.append(slow)
    slow.hold('GetNameOwner')
    exporter = bench.start('--poll.interval=500ms',
                           env={'DBUS_SYSTEM_BUS_ADDRESS': 'unix:path=' + slow.path})
    bench.eventually('the question for the owner', lambda: slow.held)
    # Nobody, says the answer that is on its way; but then somebody comes.
    bench.start_sim(ADDRESS + TRUE_BOARD)
    set_truth(bench.sim)
    slow.release()
    exporter.logged('warning: .* bluetoothd is not running')
    TRUTH.check(exporter.fresh(limit=100))


# ---- GetManagedObjects ---------------------------------------------------------------------------

def switched_on_behind_the_tree(adapter, name):
    @test
    def function(bench):
        sim = start_sim(bench, 'hci0,off', 'hci1,off')
        sim('after GetManagedObjects adapter on ' + adapter)
        exporter = bench.start('--poll.interval=500ms')
        sim.until('after adapter on')
        TRUTH.check(exporter.fresh())
        equal(sim.battery()['adapter'], adapter, 'adapter')
    function.__doc__ = 'An adapter switched on right behind the answer with the tree: ' + name


switched_on_behind_the_tree('hci0', 'the first')
switched_on_behind_the_tree('hci1', 'another')


@test
def tree_refused(bench):
    """A bluetoothd that refuses its tree at first is told of with its words, and asked again."""
    sim = start_sim(bench)
    sim("refuse GetManagedObjects org.bluez.Error.Failed 'not today' 1")
    exporter = bench.start('--poll.interval=500ms')
    exporter.logged('warning: .*its objects cannot be listed: not today')
    TRUTH.check(exporter.fresh())


@test
def tree_never_comes(bench):
    """A bluetoothd that never gives its tree is told of, and asked again."""
    sim = start_sim(bench)
    sim('hold GetManagedObjects')
    exporter = bench.start('--poll.interval=500ms')
    exporter.logged('warning: .*bluetoothd does not answer')
    # The first answers are as late as can be; nobody waits for them any more.
    sim.until('held GetManagedObjects', sim.until('held GetManagedObjects'))
    sim('release GetManagedObjects')
    TRUTH.check(exporter.fresh())


@test
def tree_never_comes_while_finding(bench):
    """The same when the battery is looked for in it."""
    sim = start_sim(bench)
    sim("after GetManagedObjects 'hold GetManagedObjects'")
    exporter = bench.start('--poll.interval=500ms')
    exporter.logged('warning: .*bluetoothd does not answer')
    sim('release GetManagedObjects')
    TRUTH.check(exporter.fresh())


@test
def tree_refused_while_resolving(bench):
    """A tree that is refused when the services are looked for ends the link; another is tried."""
    sim = start_sim(bench, more=',known')
    sim("after Connect 'refuse GetManagedObjects org.bluez.Error.Failed \"not today\" 1'")
    exporter = bench.start('--poll.interval=500ms')
    exporter.logged('warning: .*not today')
    TRUTH.check(exporter.fresh())
    equal(sim.battery()['links'], 2, 'links')


def restarted(commands, cure, name):
    @test
    def function(bench):
        exporter = true_board(bench)
        before = exporter.fresh()
        bench.sim(*commands)
        exporter.logged('warning: .*bluetoothd')
        # So long that the first question has timed out, and its answer is not waited for any more.
        TRUTH.check(exporter.until(
            lambda m: m('bms_poll_failures_total', reason='not_connected') >=
            before('bms_poll_failures_total', reason='not_connected') + 24, 'lost polls'))
        bench.sim(cure)
        TRUTH.check(exporter.fresh())
    function.__doc__ = 'A restarted bluetoothd is asked until it answers: ' + name


restarted(('bluez die', 'bluez start hung'), 'bluez resume', 'it hangs')
restarted(('hold GetManagedObjects', 'bluez die', 'bluez start'), 'release GetManagedObjects',
          'it gives no tree')


# ---- discovery -----------------------------------------------------------------------------------

@test
def discovery_answered_late(bench):
    """StartDiscovery that is answered only after the battery was found does no harm."""
    sim = start_sim(bench)
    sim('hold StartDiscovery')
    exporter = bench.start('--poll.interval=500ms')
    at = sim.until('resolved')
    sim('release StartDiscovery')
    polls(bench, 3, at)
    TRUTH.check(exporter.metrics())
    equal(sim.battery()['links'], 1, 'links')
    equal([a['discovering'] for a in sim.state()['adapters']], [False], 'discovering')


@test
def discovery_refused_late(bench):
    """StartDiscovery whose failure comes only after the battery was found does no harm."""
    sim = start_sim(bench)
    # Another program's scan finds it.
    sim("refuse StartDiscovery org.bluez.Error.Failed 'not today' 1", 'hold StartDiscovery')
    exporter = bench.start('--poll.interval=500ms')
    at = sim.until('held StartDiscovery')
    sim('known *')
    at = sim.until('resolved', at)
    sim('release StartDiscovery')
    polls(bench, 3, at)
    TRUTH.check(exporter.metrics())
    equal(sim.battery()['links'], 1, 'links')


@test
def discovery_never_answered(bench):
    """StartDiscovery that is never answered is given up, and the scan that it began is ended."""
    sim = start_sim(bench, more=',absent')
    sim('hold StartDiscovery')
    exporter = bench.start('--poll.interval=500ms')
    at = sim.until('discovery on')
    exporter.logged('warning: .*discovery could not be started')
    sim.until('discovery off', at)
    sim('release StartDiscovery', 'present *')
    TRUTH.check(exporter.fresh())


# ---- objects that go -----------------------------------------------------------------------------

def other_interfaces_removed(path, name):
    @test
    def function(bench):
        exporter = true_board(bench)
        exporter.fresh()
        at = bench.sim.mark()
        bench.sim('removed %s org.bluez.Battery1 org.bluez.LEAdvertisingManager1' % path)
        polls(bench, 3, at)
        metrics = exporter.metrics()
        TRUTH.check(metrics)
        equal(metrics.sum('bms_link_sessions_total'), 1, 'sessions')
        equal(bench.sim.battery()['links'], 1, 'links')
    function.__doc__ = 'An object that loses other interfaces is still there: ' + name


other_interfaces_removed(DEVICE, 'the device')
other_interfaces_removed(NOTIFY, 'the characteristic')
other_interfaces_removed('/org/bluez/hci0', 'the adapter')


@test
def device_removed(bench):
    """A device that loses its own interface is gone, and the session with it."""
    exporter = true_board(bench)
    exporter.fresh()
    bench.sim('removed %s org.bluez.Battery1 org.bluez.Device1' % DEVICE)
    exporter.logged('warning: .*bluetoothd has removed the device')
    metrics = exporter.until(
        lambda m: m('bms_link_sessions_total', reason='link_loss') == 1 and m('bms_up') == 1,
        'a new session')
    TRUTH.check(metrics)


# ---- the radio's queue ---------------------------------------------------------------------------

@test
def closing_while_queued(bench):
    """A link that is being closed while it waits for the radio never gets its turn."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + ',absent', ADDRESS2 + ',steady,absent')
    set_truth(bench.sim)
    exporter = bench.start('--log.level=debug', '--poll.interval=500ms', ADDRESS, ADDRESS2)
    both = (ADDRESS, ADDRESS2)
    event = line = 0
    for _ in range(5):
        event = bench.sim.until('discovery on', event)
        for address in both:
            exporter.logged(address + ': waiting for the radio', line)
        line = len(exporter.log)
        bench.sim('adapter off')
        for address in both:
            exporter.logged(address + ': disconnected$', line)
        line = len(exporter.log)
        bench.sim('adapter on')
    bench.sim('present *')
    exporter.fresh(2)
    for address in both:
        said = [re.fullmatch('.*debug: %s: (%s)' % (address, '|'.join(STAGES)), line)
                for line in exporter.log]
        stages = [each[1] for each in said if each]
        for before, now in zip(stages, stages[1:]):
            check(now in STAGES[before], '%s: %s after %s' % (address, now, before))


# ---- the operator's command ----------------------------------------------------------------------

@test
def command_and_reload(bench):
    """SIGHUP does not lift the limit of a command that runs, which ends what it has started, too."""
    witness = os.path.join(bench.directory, 'witness')
    os.mkfifo(witness)
    alive = os.open(witness, os.O_RDONLY | os.O_NONBLOCK)
    script = os.path.join(bench.directory, 'cure')
    with open(script, 'w') as file:
        file.write('#!/bin/sh\nexec 3>%s\necho begun >&3\nsleep 300 &\nwait\n' % witness)
    os.chmod(script, 0o755)
    exporter = true_board(bench, '--recover.command=' + script, more=',known')
    bench.sim("fault * connect-fail org.bluez.Error.Failed le-connection-abort-by-local")
    exporter.logged('running ' + script, limit=90)
    bench.eventually('the command', lambda: select.select([alive], [], [], 0)[0])
    equal(os.read(alive, 100), b'begun\n', 'what it says')
    exporter.signal(signal.SIGHUP)
    exporter.logged('options were read again')
    exporter.logged('has run for 60 s', limit=90)
    # Readable without anything to read: nobody has it open for writing any more.
    bench.eventually('the end of all of it', lambda: select.select([alive], [], [], 0)[0])
    equal(os.read(alive, 100), b'', 'what is left')
    os.close(alive)
    equal(exporter.count_log('running ' + script), 1, 'times')


# What may follow on what.
STAGES = {
    'disconnected': ('waiting for the radio', 'disconnecting'),
    'waiting for the radio': ('looking for the battery', 'disconnecting'),
    'looking for the battery': ('connecting', 'disconnecting'),
    'connecting': ('discovering services', 'looking for the battery', 'disconnecting'),
    'discovering services': ('subscribing', 'disconnecting'),
    'subscribing': ('connected', 'disconnecting'),
    'connected': ('disconnecting',),
    'disconnecting': ('disconnected',),
}

run(Bench)
