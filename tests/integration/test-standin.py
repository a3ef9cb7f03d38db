#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""
The stand-in itself, seen by another D-Bus client: what the real bluetoothd does and the program
relies on, or will be tried with.
"""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

from harness import ADDRESS, SIM, SLOWDOWN, Bench, Process, check, equal
from readings import TRUTH, true_board
from tap import run, test

ADAPTER = '/org/bluez/hci0'
DEVICE = ADAPTER + '/dev_' + ADDRESS.replace(':', '_')
WRITE = DEVICE + '/service0010/char0014'
NOTIFY = DEVICE + '/service0010/char0011'
ASK = '[byte 0xdd, 0xa5, 0x03, 0x00, 0xff, 0xfd, 0x77]'
ABORTED = 'org.bluez.Error.Failed: le-connection-abort-by-local'


class Call(Process):
    """A method call that is under way."""

    def __init__(self, bench, path, method, *arguments):
        self.bench = bench
        super().__init__(bench.pulse, 'gdbus',
                         ['gdbus', 'call', '--system', '--dest=org.bluez', '--object-path=' + path,
                          '--method=' + method] + list(arguments), bench.environment())
        bench.started.append(self)

    def result(self):
        """Waits for the reply; returns "ok", or the error's name and message."""
        self.bench.eventually('an answer to ' + self.command[-1], lambda: self.status() is not None)
        self.collect()
        if self.status() == 0:
            return 'ok'
        return re.search('GDBus.Error:(.*)', '\n'.join(self.lines))[1].rstrip()


class Monitor(Process):
    """All that bluetoothd says."""

    def __init__(self, bench):
        self.bench = bench
        super().__init__(bench.pulse, 'dbus-monitor',
                         ['dbus-monitor', '--address', 'unix:path=%s/bus' % bench.directory,
                          "sender='org.bluez'"], bench.environment())
        bench.started.append(self)
        # It is told its own name when it listens.
        bench.eventually('the monitor', lambda: b'NameLost' in self.output)

    def said(self):
        """In short: 'dev_… Connected=false', 'hci0 removed Device1 …', 'reply', 'error NAME'."""
        said = []
        for block in re.split(r'\n(?=\S)', self.output.decode()):
            kind = block.split(' ', 1)[0]
            path = re.search(r'path=\S*?([^/;]*);', block)
            member = re.search(r'member=(\w+)', block)
            if kind == 'method':
                if '<node>' not in block:  # what gdbus asks first
                    said.append('reply')
            elif kind == 'error':
                said.append('error ' + re.search(r'error_name=(\S+)', block)[1])
            elif member and member[1] == 'PropertiesChanged':
                said += ['%s %s' % (path[1], ' '.join('%s=%s' % pair for pair in re.findall(
                    r'string "(\w+)"\s+variant\s+boolean (\w+)', block)))]
            elif member and member[1] == 'InterfacesRemoved':
                # The latest block may have come in part.
                removed = re.search(r'object path "\S*/([^/"]*)"', block)
                said += ['%s removed' % removed[1]] if removed else []
        return said

    def until(self, what):
        """Waits until it was said; returns all up to it that concerns the device and adapter."""
        self.bench.eventually('"%s" from bluetoothd' % what, lambda: what in self.said())
        said = self.said()
        said = said[:said.index(what) + 1]
        return [each for each in said if each == 'reply' or each.startswith('error') or
                re.match(r'(hci0|dev_\w+) \S', each)]


def call(bench, path, method, *arguments):
    return Call(bench, path, 'org.bluez.' + method, *arguments).result()


def set_powered(bench, on):
    return Call(bench, ADAPTER, 'org.freedesktop.DBus.Properties.Set', 'org.bluez.Adapter1',
                'Powered', '<%s>' % ('true' if on else 'false')).result()


def remove_device(bench, device=DEVICE):
    return call(bench, ADAPTER, 'Adapter1.RemoveDevice', "objectpath '%s'" % device)


def start(bench, more=',known', quick=True, *arguments):
    bench.start_bus()
    bench.start_sim(ADDRESS + ',steady' + more, faithful=not quick, arguments=arguments)
    return bench.sim


def connected(bench, more=',known'):
    sim = start(bench, more)
    equal(call(bench, DEVICE, 'Device1.Connect'), 'ok', 'Connect')
    sim.until('resolved')
    return sim


SHORT = 'dev_' + ADDRESS.replace(':', '_')


# ---- RemoveDevice --------------------------------------------------------------------------------

@test
def remove_linked(bench):
    """RemoveDevice of a device that is linked takes the link down, answers, and then the object."""
    sim = connected(bench)
    monitor = Monitor(bench)
    equal(remove_device(bench), 'ok', 'RemoveDevice')
    equal(monitor.until(SHORT + ' removed'),
          [SHORT + ' ServicesResolved=false', 'reply', SHORT + ' Connected=false',
           SHORT + ' removed'], 'order')
    check(not sim.battery()['known'], 'still known')
    check(call(bench, DEVICE, 'Device1.Connect').startswith(
        'org.freedesktop.DBus.Error.UnknownObject'), 'the object is there')


@test
def remove_unlinked(bench):
    """RemoveDevice of a device without a link removes the object and answers."""
    start(bench)
    equal(remove_device(bench), 'ok', 'RemoveDevice')
    check(not bench.sim.battery()['known'], 'still known')


@test
def remove_while_connecting(bench):
    """RemoveDevice of a device that is being connected fails the Connect."""
    sim = start(bench, ',known,absent')
    pending = Call(bench, DEVICE, 'org.bluez.Device1.Connect')
    sim.until('connect ')
    equal(remove_device(bench), 'ok', 'RemoveDevice')
    equal(pending.result(), 'org.bluez.Error.Failed: br-connection-canceled', 'Connect')


@test
def remove_refused(bench):
    """RemoveDevice of an unknown device, or without power, is refused."""
    sim = start(bench)
    equal(remove_device(bench, ADAPTER + '/dev_11_22_33_44_55_66'),
          'org.bluez.Error.DoesNotExist: Does Not Exist', 'unknown device')
    sim('adapter off')
    equal(remove_device(bench), 'org.bluez.Error.NotReady: Resource Not Ready', 'without power')
    check(sim.battery()['known'], 'not known any more')


@test
def removed_under_the_program(bench):
    """A device that somebody removes while it is read is searched for and read again."""
    exporter = true_board(bench)
    exporter.fresh()
    at = bench.sim.mark()
    equal(remove_device(bench), 'ok', 'RemoveDevice')
    at = bench.sim.until('device-removed', at)
    at = bench.sim.until('discovery on', at)
    at = bench.sim.until('device-added', at)
    bench.sim.until('connected', at)
    TRUTH.check(exporter.fresh())


# ---- power ---------------------------------------------------------------------------------------

@test
def power_off_linked(bench):
    """Set Powered false loses the links, is answered, and then told of; true brings it back."""
    sim = connected(bench)
    monitor = Monitor(bench)
    equal(set_powered(bench, False), 'ok', 'Set')
    equal(monitor.until('hci0 Powered=false'),
          [SHORT + ' ServicesResolved=false Connected=false', 'reply', 'hci0 Powered=false'], 'order')
    equal(call(bench, DEVICE, 'Device1.Connect'),
          'org.bluez.Error.Failed: Input/output error', 'Connect without power')
    for method in ('StartDiscovery', 'StopDiscovery'):
        equal(call(bench, ADAPTER, 'Adapter1.' + method),
              'org.bluez.Error.NotReady: Resource Not Ready', method)
    equal(set_powered(bench, True), 'ok', 'Set')
    monitor.until('hci0 Powered=true')
    equal(call(bench, DEVICE, 'Device1.Connect'), 'ok', 'Connect')
    check(sim.battery()['known'], 'forgotten')


@test
def power_off_under_the_program(bench):
    """An adapter that somebody switches off and on is used again."""
    exporter = true_board(bench)
    exporter.fresh()
    equal(set_powered(bench, False), 'ok', 'Set')
    exporter.logged('warning: .* the Bluetooth adapter is off')
    equal(set_powered(bench, True), 'ok', 'Set')
    TRUTH.check(exporter.until(
        lambda m: m('bms_link_sessions_total', reason='adapter') == 1 and m('bms_up') == 1,
        'a new session'))


@test
def power_takes_time(bench):
    """A second Set of Powered, while one is being done, is refused as busy."""
    sim = start(bench)
    sim('set power-time 60')
    Call(bench, ADAPTER, 'org.freedesktop.DBus.Properties.Set', 'org.bluez.Adapter1', 'Powered',
         '<false>')
    sim.until('set-powered')
    check(set_powered(bench, False).startswith('org.bluez.Error.Busy'), 'not busy')


@test
def rfkill(bench):
    """An adapter that is blocked cannot be switched on; unblocked, it comes on by itself."""
    sim = connected(bench)
    monitor = Monitor(bench)
    sim('adapter block')
    equal(monitor.until('hci0 Powered=false'),
          [SHORT + ' ServicesResolved=false Connected=false', 'hci0 Powered=false'], 'order')
    equal(set_powered(bench, True), 'org.bluez.Error.Blocked: Blocked through rfkill', 'Set')
    at = sim.mark()
    sim('adapter unblock')
    sim.until('powered on', at)


@test
def controller_wedged(bench):
    """A wedged controller fails every Connect until its power was off and on."""
    sim = start(bench)
    sim('adapter wedge')
    for _ in range(2):
        equal(call(bench, DEVICE, 'Device1.Connect'), ABORTED, 'Connect')
    sim('bluez die', 'bluez start')
    sim.until('adapter add', sim.until('bluez on'))
    equal(call(bench, DEVICE, 'Device1.Connect'), ABORTED, 'Connect after a restart')
    set_powered(bench, False)
    set_powered(bench, True)
    equal(call(bench, DEVICE, 'Device1.Connect'), 'ok', 'Connect after a power cycle')


@test
def controller_wedged_hanging(bench):
    """Wedged in the other way, it answers no Connect until that is withdrawn."""
    sim = start(bench)
    sim('adapter wedge-hang')
    pending = Call(bench, DEVICE, 'org.bluez.Device1.Connect')
    sim.until('connect ')
    equal(call(bench, DEVICE, 'Device1.Disconnect'), 'ok', 'Disconnect')
    equal(pending.result(), 'org.bluez.Error.Failed: br-connection-canceled', 'Connect')


# ---- devices and links ---------------------------------------------------------------------------

@test
def device_wedged(bench):
    """A wedged device fails every Connect until it is removed."""
    sim = start(bench)
    sim('fault * wedged')
    for _ in range(2):
        equal(call(bench, DEVICE, 'Device1.Connect'),
              'org.bluez.Error.Failed: Software caused connection abort', 'Connect')
    equal(remove_device(bench), 'ok', 'RemoveDevice')
    sim('known *')
    equal(call(bench, DEVICE, 'Device1.Connect'), 'ok', 'Connect after RemoveDevice')


@test
def services_stale(bench):
    """Stale services stay and lead nowhere, until the device is removed."""
    sim = connected(bench)
    sim('fault * stale-services')
    stale = 'org.bluez.Error.Failed: Operation failed with ATT error: 0x01'
    equal(call(bench, NOTIFY, 'GattCharacteristic1.StartNotify'), stale, 'StartNotify')
    equal(call(bench, WRITE, 'GattCharacteristic1.WriteValue', ASK, "{'type': <'request'>}"), stale,
          'WriteValue')
    equal(call(bench, WRITE, 'GattCharacteristic1.WriteValue', ASK, "{'type': <'command'>}"), 'ok',
          'WriteValue without response')
    equal(sim.battery()['requests-total'], 0, 'requests that reached the board')
    equal(call(bench, DEVICE, 'Device1.Disconnect'), 'ok', 'Disconnect')
    equal(call(bench, DEVICE, 'Device1.Connect'), 'ok', 'Connect')
    sim.until('resolved', sim.until('disconnected'))
    equal(call(bench, NOTIFY, 'GattCharacteristic1.StartNotify'), stale, 'StartNotify on a new link')
    equal(remove_device(bench), 'ok', 'RemoveDevice')
    at = sim.mark()
    sim('known *')
    equal(call(bench, DEVICE, 'Device1.Connect'), 'ok', 'Connect')
    sim.until('resolved', at)
    check('UnknownObject' in call(bench, NOTIFY, 'GattCharacteristic1.StartNotify'), 'the old path')
    equal(call(bench, DEVICE + '/service0050/char0051', 'GattCharacteristic1.StartNotify'), 'ok',
          'StartNotify at the new path')


@test
def connected_told(bench):
    """The first link of a device is told of, or not, as it is set; each later one is."""
    sim = start(bench)
    for setting, count in (('never', 1), ('always', 2)):
        sim('set first-connected ' + setting, 'forget *', 'known *')
        monitor = Monitor(bench)
        for _ in range(2):
            equal(call(bench, DEVICE, 'Device1.Connect'), 'ok', 'Connect')
            equal(call(bench, DEVICE, 'Device1.Disconnect'), 'ok', 'Disconnect')
        equal(call(bench, ADAPTER, 'Adapter1.StartDiscovery'), 'ok', 'StartDiscovery')
        said = monitor.until('hci0 Discovering=true')
        equal(said.count(SHORT + ' Connected=true'), count, 'Connected: true, ' + setting)


@test
def breaks_early(bench):
    """A link that breaks before its services are looked at fails the Connect at once."""
    sim = start(bench)
    sim('set first-connected always', 'fault * abort-early 1')
    monitor = Monitor(bench)
    equal(call(bench, DEVICE, 'Device1.Connect'), ABORTED, 'Connect')
    equal(monitor.until('error org.bluez.Error.Failed'),
          [SHORT + ' Connected=true', SHORT + ' Connected=false', 'error org.bluez.Error.Failed'],
          'order')


@test
def breaks_before_resolved(bench):
    """A link that breaks before its services are resolved says Connected: false and no more."""
    sim = start(bench)
    sim('set resolve-time 60', 'set first-connected never')
    monitor = Monitor(bench)
    equal(call(bench, DEVICE, 'Device1.Connect'), 'ok', 'Connect')
    sim('fault * drop-now')
    equal(monitor.until(SHORT + ' Connected=false'), ['reply', SHORT + ' Connected=false'], 'order')


@test
def services_come_and_go(bench):
    """Services that vanish and return change neither Connected nor ServicesResolved."""
    sim = connected(bench)
    monitor = Monitor(bench)
    sim('fault * services-vanish', 'fault * services-return')
    equal(call(bench, ADAPTER, 'Adapter1.StartDiscovery'), 'ok', 'StartDiscovery')
    said = monitor.until('hci0 Discovering=true')
    equal([each for each in said if SHORT in each], [], 'signals of the device')
    check('char0011 removed' in monitor.said(), 'the old characteristic stayed')
    check(bench.sim.battery()['connected'], 'not connected')


@test
def overlapping_writes(bench):
    """A WriteValue while another is under way is refused."""
    sim = connected(bench)
    sim('set write-time 60')
    arguments = (ASK, "{'type': <'request'>}")
    Call(bench, WRITE, 'org.bluez.GattCharacteristic1.WriteValue', *arguments)
    sim.until('request')
    equal(call(bench, WRITE, 'GattCharacteristic1.WriteValue', *arguments),
          'org.bluez.Error.InProgress: In Progress', 'WriteValue')


@test
def blocked_device(bench):
    """Setting Blocked takes a link down."""
    sim = connected(bench)
    equal(Call(bench, DEVICE, 'org.freedesktop.DBus.Properties.Set', 'org.bluez.Device1', 'Blocked',
               '<true>').result(), 'ok', 'Set')
    sim.until('disconnected .* local')


# ---- notifications that one client has to itself -------------------------------------------------

CHARACTERISTIC = 'GattCharacteristic1.'
EMPTY = '@a{sv} {}'
NOTIFY_ACQUIRED = 'org.bluez.Error.NotPermitted: Notify acquired'


@test
def acquire(bench):
    """What is acquired is refused to others, and free again when its client is gone."""
    sim = connected(bench)
    at = sim.mark()
    sim('rival %s acquire' % ADDRESS)
    sim.until('notify-acquired .* on', at)
    for method, arguments in ('StartNotify', ()), ('AcquireNotify', (EMPTY,)):
        equal(call(bench, NOTIFY, CHARACTERISTIC + method, *arguments), NOTIFY_ACQUIRED, method)
    equal(sim.battery()['notifying'], False, 'notifying')
    sim('rival %s acquire-write' % ADDRESS)
    equal(call(bench, WRITE, CHARACTERISTIC + 'WriteValue', ASK, EMPTY),
          'org.bluez.Error.NotPermitted: Write acquired', 'WriteValue')
    equal(call(bench, WRITE, CHARACTERISTIC + 'AcquireWrite', EMPTY),
          'org.bluez.Error.NotPermitted: Write acquired', 'AcquireWrite')
    sim('rival %s release' % ADDRESS)
    sim.until('write-acquired .* off', sim.until('notify-acquired .* off', at))
    equal(call(bench, WRITE, CHARACTERISTIC + 'WriteValue', ASK, EMPTY), 'ok', 'WriteValue')
    sim('rival %s notify' % ADDRESS)
    equal(call(bench, NOTIFY, CHARACTERISTIC + 'AcquireNotify', EMPTY),
          'org.bluez.Error.InProgress: In Progress', 'AcquireNotify beside StartNotify')


@test
def acquire_over_the_bus(bench):
    """A client gets its socket, and has let it go when it ends."""
    sim = connected(bench)
    for path, method, what in ((NOTIFY, 'AcquireNotify', 'notify'),
                               (WRITE, 'AcquireWrite', 'write')):
        at = sim.mark()
        equal(call(bench, path, CHARACTERISTIC + method, EMPTY), 'ok', method)
        sim.until(what + '-acquired .* off', sim.until(what + '-acquired .* on', at))
    equal(call(bench, DEVICE, 'Device1.Disconnect'), 'ok', 'Disconnect')
    equal(call(bench, NOTIFY, CHARACTERISTIC + 'AcquireNotify', EMPTY),
          'org.bluez.Error.Failed: Not connected', 'AcquireNotify')


@test
def acquired_by_nobody(bench):
    """What was not answered when the link broke stays acquired; StopNotify ends bluetoothd."""
    sim = connected(bench)
    sim('set notify-time 60')
    Call(bench, NOTIFY, 'org.bluez.GattCharacteristic1.AcquireNotify', EMPTY)
    bench.eventually('AcquireNotify', lambda: sim.battery()['notify-acquired'])
    sim('fault * drop-now')
    equal(call(bench, DEVICE, 'Device1.Connect'), 'ok', 'Connect')
    equal(call(bench, NOTIFY, CHARACTERISTIC + 'StartNotify'), NOTIFY_ACQUIRED, 'StartNotify')
    Call(bench, NOTIFY, 'org.bluez.GattCharacteristic1.StopNotify')
    sim.until('bluez off', sim.until('bluez crashed by StopNotify'))
    sim.crashes = 1


@test
def acquired_by_nobody_and_removed(bench):
    """RemoveDevice ends it, too; the same where the client has died."""
    sim = connected(bench)
    sim('rival %s acquire unanswered' % ADDRESS, 'rival %s die' % ADDRESS)
    Call(bench, ADAPTER, 'org.bluez.Adapter1.RemoveDevice', "objectpath '%s'" % DEVICE)
    sim.until('bluez off', sim.until('bluez crashed by RemoveDevice'))
    sim.crashes = 1


@test
def stopped_while_acquired(bench):
    """StopNotify of anybody ends what is acquired and open, or asked for."""
    sim = connected(bench)
    for how in 'acquire', 'acquire unanswered':
        sim('rival %s %s' % (ADDRESS, how))
        bench.eventually('AcquireNotify', lambda: sim.battery()['notify-acquired'])
        equal(call(bench, NOTIFY, CHARACTERISTIC + 'StopNotify'), 'ok', 'StopNotify')
        equal(sim.battery()['notify-acquired'], False, 'acquired')


# ---- bluetoothd ----------------------------------------------------------------------------------

@test
def killed(bench):
    """bluetoothd killed says nothing; restarted it has the device with UUIDs and without RSSI."""
    sim = connected(bench)
    monitor = Monitor(bench)
    at = sim.mark()
    sim('bluez die', 'bluez start')
    sim.until('adapter add', at)
    equal(call(bench, ADAPTER, 'Adapter1.StartDiscovery'), 'ok', 'StartDiscovery')
    said = monitor.until('hci0 Discovering=true')
    equal([each for each in said if 'false' in each or 'removed' in each], [], 'last words')
    tree = Call(bench, '/', 'org.freedesktop.DBus.ObjectManager.GetManagedObjects')
    equal(tree.result(), 'ok', 'GetManagedObjects')
    text = tree.output.decode()
    check(DEVICE in text and '0000180a' in text, 'the device or its UUIDs are gone')
    check('/service' not in text, 'GATT objects are there')
    # A scan may have heard it meanwhile; from the cache it comes without.
    added = re.search(r'member=InterfacesAdded\n   object path "%s"\n(.*?)\n(?=\S)' % DEVICE,
                      monitor.output.decode(), re.DOTALL)
    check(added and 'RSSI' not in added[1], 'RSSI from the cache')


@test
def terminated(bench):
    """bluetoothd terminated switches its adapter off and takes its objects away."""
    sim = connected(bench)
    monitor = Monitor(bench)
    sim('bluez term')
    equal(monitor.until('hci0 removed'),
          [SHORT + ' ServicesResolved=false Connected=false', 'hci0 Powered=false',
           SHORT + ' removed', 'hci0 removed'], 'order')


@test
def send(bench):
    """bms-sim --send gives commands to one that runs, and prints the answers."""
    connected(bench)
    good = subprocess.run([SIM, '--send=' + bench.sim.path, 'fault * silent', 'ping'],
                          capture_output=True, timeout=20 * SLOWDOWN)
    equal((good.returncode, good.stdout, good.stderr), (0, b'ok\nok\n', b''), 'two commands')
    bad = subprocess.run([SIM, '--send=' + bench.sim.path, 'nonsense', 'ping'],
                         capture_output=True, timeout=20 * SLOWDOWN)
    equal((bad.returncode, bad.stdout[:6]), (1, b'error '), 'a wrong command')
    nobody = subprocess.run([SIM, '--send=/nonexistent', 'ping'], capture_output=True)
    check(nobody.returncode == 1 and b'/nonexistent: ' in nobody.stderr, 'nobody there')


run(Bench)
