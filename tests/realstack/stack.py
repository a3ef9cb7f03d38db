# SPDX-License-Identifier: MIT
"""
What a case stands on, inside the virtual machine: the kernel's Bluetooth with a virtual controller
of btvirt, the real bluetoothd on a real system bus, a board behind btvirt's other side (peer.c), and
the shipped bms-exporter as an ordinary user.

    stack.peer('fault silent')              commands of peer_commands.c
    stack.peer.until('request 03')          waits for an event of the board
    exporter = stack.start()                as in tests/integration/harness.py
    stack.reads(exporter)                   waits until it serves what the board says now

As there, nothing sleeps and nothing asserts how long anything takes.
"""

import os
import sys

# Before harness.py looks: the program runs as nobody, and an emulated processor is slow.
os.environ.setdefault('BMS_WRAPPER', 'setpriv --reuid=65534 --regid=65534 --clear-groups --')
os.environ.setdefault('BMS_SLOWDOWN', '4')
os.environ.setdefault('BMS_JOBS', '1')
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, ROOT + '/tests/integration')

import copy
import functools
import glob
import json
import re
import shutil
import signal
import subprocess
import threading
import time

import harness
import tap
from harness import Bench, Exporter, check, equal
from readings import TRUTH, set_truth

PEER = os.environ['BMS_PEER']
BLUETOOTHD = '/mnt/tools/usr/libexec/bluetooth/bluetoothd'
SHARE = '/mnt/share'
AIR = '/tmp/bt-server-le'

BUS_CONFIG = '''<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <include>/usr/share/dbus-1/system.conf</include>
  <includedir>/mnt/tools/etc/dbus-1/system.d</includedir>
</busconfig>
'''


def case(function):
    """Registers a case. It is called with a stack on which bluetoothd and one board are up."""
    @functools.wraps(function)
    def run(stack):
        stack.begin(function.__name__)
        function(stack)
    return tap.test(run)


# What a monitor may ask of bluetoothd.
CALLS = {
    'org.bluez.Adapter1': ('SetDiscoveryFilter', 'StartDiscovery', 'StopDiscovery',
                           'RemoveDevice'),
    'org.bluez.Device1': ('Connect', 'Disconnect'),
    'org.bluez.GattCharacteristic1': ('StartNotify', 'StopNotify', 'WriteValue'),
}


class Call:
    """One call to bluetoothd, as seen on the bus."""

    def __init__(self, message):
        self.at = message['timestamp-realtime']
        self.answered = float('inf')
        self.sender = message['sender']
        self.path = message['path']
        self.interface = message.get('interface')
        self.member = message['member']

    def withdrawn(self, calls):
        """When a Disconnect, which is how a Connect is withdrawn, was answered."""
        return min((call.answered for call in calls
                    if call.member == 'Disconnect' and call.path == self.path and
                    call.at > self.at), default=float('inf'))

    def __str__(self):
        return '%s.%s on %s' % (self.interface, self.member, self.path)


class Daemon:
    """A process that is there for others; what it says goes to a file."""

    def __init__(self, name, command, log, **settings):
        self.name = name
        self.command = command
        self.log = log
        with open(log, 'ab') as file:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file,
                                          stderr=subprocess.STDOUT, **settings)

    def status(self):
        return self.child.poll()

    def kill(self, number=signal.SIGKILL):
        if self.status() is None:
            self.child.send_signal(number)
            self.child.wait()

    def signal(self, number):
        self.child.send_signal(number)

    def tail(self, count=40):
        with open(self.log, encoding='utf-8', errors='backslashreplace') as file:
            return file.read().splitlines()[-count:]


class Peer:
    """A board on the air."""

    def __init__(self, stack, number=0):
        self.stack = stack
        self.pulse = stack.pulse
        self.address = None
        self.events = []
        self.answers = []
        self.truth = copy.deepcopy(TRUTH)
        self.child = subprocess.Popen([PEER, AIR, 'xiaoxiang BMS', str(number)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        stack.eventually('the board on the air', lambda: self.address)
        self.tell()

    def _read(self):
        for line in self.child.stdout:
            word, _, rest = line.strip().partition(' ')
            if word == 'event':
                self.events.append((time.monotonic(), rest))
            elif word == 'ready':
                self.address = rest
            else:
                self.answers.append(line.strip())
            self.pulse.beat()

    def __call__(self, *commands):
        """Sends commands; returns the answer to the last one without its ok."""
        for command in commands:
            number = len(self.answers)
            self.child.stdin.write(command + '\n')
            self.child.stdin.flush()
            self.stack.eventually('an answer to ' + command, lambda: len(self.answers) > number)
            check(self.answers[number].startswith('ok'),
                  'peer: %s: %s' % (command, self.answers[number]))
        return self.answers[-1][3:]

    def tell(self, **values):
        """Makes the board say this from now on."""
        for key, value in values.items():
            setattr(self.truth, key, value)
        set_truth(self, '', self.truth)

    def state(self):
        return {key: int(value) for key, value in
                (each.split('=') for each in self('status').split())}

    def mark(self):
        """A place in the list of events, for until() and seen()."""
        return len(self.events)

    def seen(self, pattern, after=0):
        return [text for _, text in self.events[after:] if re.match(pattern, text)]

    def until(self, pattern, after=0, limit=harness.LIMIT):
        """Waits for an event; returns the mark behind it."""
        def find():
            for i in range(after, len(self.events)):
                if re.match(pattern, self.events[i][1]):
                    return i + 1
            return None
        return self.stack.eventually('the board\'s event "%s"' % pattern, find, limit)

    def kill(self):
        try:
            self.child.stdin.close()
        except BrokenPipeError:
            pass  # btvirt has ended before it
        self.child.wait()
        self.reader.join()
        self.child.stdout.close()


class Stack(Bench):
    """All that one case has started. As a context manager it ends it, whatever has happened."""

    bus = None  # the system bus stays over all cases, as it does on a machine

    def __init__(self):
        super().__init__()
        self.name = None
        self.bluez = None
        self.air = None
        self.peers = []
        self.kept = False
        self.dead = None  # descriptor of a controller that answers nothing

    @property
    def peer(self):
        return self.peers[0]

    # ---- starting ----------------------------------------------------------------------------

    @classmethod
    def start_system_bus(cls):
        path = '/run/dbus/realstack.conf'
        with open(path, 'w') as file:
            file.write(BUS_CONFIG)
        cls.bus = Daemon('dbus-daemon', ['dbus-daemon', '--nofork', '--nopidfile',
                                         '--config-file=' + path], SHARE + '/dbus.log')

    def environment(self, more=None):
        env = super().environment(more)
        del env['DBUS_SYSTEM_BUS_ADDRESS']
        return env

    def log(self, name):
        return '%s/%s.log' % (self.directory, name)

    def begin(self, name):
        self.name = name
        for each in glob.glob('/var/lib/bluetooth/*'):
            shutil.rmtree(each)
        if not Stack.bus:
            Stack.start_system_bus()
        self.eventually('the system bus', lambda: os.path.exists('/run/dbus/system_bus_socket'))
        self._keep(Daemon('btmon', ['btmon', '-w', self.directory + '/trace.btsnoop'],
                          self.log('btmon')))
        self._keep(Daemon('busctl', ['busctl', 'monitor', '--json=short', 'org.bluez'],
                          self.log('bus')))
        self.start_air()
        self.start_bluez()
        self.start_peer()
        self.eventually('an adapter', lambda: self.adapter('Powered') == 'true')

    def start_air(self, controllers=1):
        if os.path.exists(AIR):
            os.unlink(AIR)
        self.air = self._keep(Daemon('btvirt', ['btvirt', '-L', '-l1', '-s'], self.log('btvirt')))
        self.eventually('btvirt', lambda: os.path.exists(AIR) and
                        len(glob.glob('/sys/class/bluetooth/hci?')) == controllers)

    def pull_controller(self):
        """Takes the controller out, and the board with it: both are btvirt's."""
        self.air.kill()
        board = self.peers.pop(0)
        self.started.remove(board)
        board.kill()

    def plug_controller(self):
        """Puts it in again, where it gets another name: the old one is taken by a dead one."""
        self.dead = os.open('/dev/vhci', os.O_RDWR)
        os.write(self.dead, b'\xff\x00')
        self.eventually('the dead controller',
                        lambda: os.path.exists('/sys/class/bluetooth/hci0'))
        self.start_air(2)
        self.start_peer()

    def start_bluez(self):
        self.bluez = self._keep(Daemon(
            'bluetoothd', [BLUETOOTHD, '-n', '-d', '-f', '/mnt/tools/etc/bluetooth/main.conf'],
            self.log('bluetoothd')))

    def start_peer(self):
        peer = Peer(self, len(self.peers))
        self.peers.append(self._keep(peer))
        return peer

    def start(self, *arguments, **settings):
        arguments = list(arguments)
        if not any(a.startswith('--poll.interval') for a in arguments):
            arguments.append('--poll.interval=1')
        if not any(re.match('[0-9A-Fa-f]{2}:', a) for a in arguments):
            arguments.append(self.peer.address)
        if '--log.level=debug' not in arguments:
            arguments.append('--log.level=debug')
        return super().start(*arguments, **settings)

    # ---- looking -----------------------------------------------------------------------------

    def property(self, path, interface, name):
        """A property's value as busctl prints it, or None."""
        done = subprocess.run(['busctl', '--timeout=5', 'get-property', 'org.bluez', path,
                               'org.bluez.' + interface, name], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
        return done.stdout.strip().partition(' ')[2] if done.returncode == 0 else None

    def adapter(self, name, path='/org/bluez/hci0'):
        return self.property(path, 'Adapter1', name)

    def device(self, name, peer=None, adapter='/org/bluez/hci0'):
        address = (peer or self.peer).address.replace(':', '_')
        return self.property('%s/dev_%s' % (adapter, address), 'Device1', name)

    def power(self, on):
        subprocess.run(['busctl', 'set-property', 'org.bluez', '/org/bluez/hci0',
                        'org.bluez.Adapter1', 'Powered', 'b', 'true' if on else 'false'],
                       check=True)

    def reads(self, exporter, peer=None, **values):
        """
        Waits until the exporter serves what the board says, given new values if nothing else:
        what was read before cannot pass for it. Returns the scrape.
        """
        peer = peer or self.peer
        peer.tell(**(values or {'cycles': peer.truth.cycles + 1}))
        metrics = exporter.until(
            lambda m: m('bms_up', battery=peer.address) == 1 and
            m('bms_charge_cycles_total', battery=peer.address) == peer.truth.cycles,
            'what the board says')
        self.true(metrics, peer)
        return metrics

    def gone(self, exporter, peer=None):
        """Waits until no readings are served. Returns the scrape."""
        peer = peer or self.peer
        metrics = exporter.until(lambda m: m('bms_up', battery=peer.address) == 0,
                                 'readings to vanish')
        self.true(metrics, peer)
        return metrics

    def true(self, metrics, peer=None):
        peer = peer or self.peer
        peer.truth.check(metrics, battery=peer.address, legacy_label=len(self.peers) > 1)

    def disconnected(self, peer=None):
        """The link is down: bluetoothd says so, and the board."""
        peer = peer or self.peer
        self.eventually('the end of the link in bluetoothd',
                        lambda: self.device('Connected', peer) in ('false', None))
        self.eventually('the end of the link on the air', lambda: not peer.state()['linked'])

    # ---- ending ------------------------------------------------------------------------------

    def _close(self):
        super()._close()
        for peer in self.peers:
            equal(peer.state()['violations'], 0, 'requests that a monitor must never send')
        self._keep_logs()
        self._check_calls()

    def calls(self):
        """The calls of others to bluetoothd, in order, as Call."""
        calls, open_calls = [], {}
        with open(self.log('bus'), encoding='utf-8') as file:
            for line in file:
                if not line.startswith('{'):
                    continue
                message = json.loads(line)
                if message['type'] == 'method_call':
                    call = Call(message)
                    calls.append(call)
                    open_calls[message['sender'], message['cookie']] = call
                elif message['type'] in ('method_return', 'error'):
                    call = open_calls.pop((message['destination'], message['reply_cookie']), None)
                    if call:
                        call.answered = message['timestamp-realtime']
        return [call for call in calls if call.interface in CALLS]

    def _check_calls(self):
        """What must hold for the calls to bluetoothd whatever a case did."""
        calls = self.calls()
        for call in calls:
            check(call.member in CALLS[call.interface], 'unexpected call: %s' % call)
        connects = [call for call in calls if call.member == 'Connect']
        for connect in connects:
            for other in calls:
                if other.sender != connect.sender or not other.at < connect.at:
                    continue
                if other.member == 'Connect':
                    check(other.answered < connect.at or other.withdrawn(calls) < connect.at,
                          'Connect while another is under way')
                if other.member == 'StartDiscovery':
                    check(any(other.at < call.at and call.answered < connect.at for call in calls
                              if call.member == 'StopDiscovery'),
                          'Connect while a discovery is under way')

    def _describe(self):
        self._keep_logs()
        text = super()._describe()
        for each in self.started:
            if isinstance(each, Daemon) and each.status():
                text += '\n%s ended with %d' % (each.name, each.status())
        return '%s\nAll logs: build/realstack/share/%s\n' % (text, self.name)

    def _keep_logs(self):
        """For whoever looks into a failure, or wants to see how things go."""
        if self.kept:
            return
        self.kept = True
        for each in self.started:
            if isinstance(each, Exporter):
                each.lines = [line for line in each.lines if 'web: GET' not in line]
                with open(self.log('exporter'), 'a') as file:
                    file.write('\n'.join(['---- ' + ' '.join(each.command[6:])] + each.lines + ['']))
            elif isinstance(each, Peer):
                with open(self.log('peer-' + each.address.replace(':', '')), 'a') as file:
                    file.writelines('%.3f %s\n' % event for event in each.events)
            elif each.name in ('btmon', 'busctl'):
                each.kill(signal.SIGTERM)  # they write when they end
        shutil.copytree(self.directory, '%s/%s' % (SHARE, self.name), dirs_exist_ok=True)

    def __exit__(self, kind, value, trace):
        result = super().__exit__(kind, value, trace)
        if self.dead is not None:
            os.close(self.dead)
        self.eventually('the end of all controllers',
                        lambda: not glob.glob('/sys/class/bluetooth/hci*'))
        return result
