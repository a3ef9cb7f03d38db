# SPDX-License-Identifier: MIT
"""
What a case stands on, inside the virtual machine: the kernel's Bluetooth with a virtual controller
of btvirt, the real bluetoothd on a real system bus, a board behind btvirt's other side (peer.c), and
the shipped bms-exporter as an ordinary user.

    stack.peer('fault silent')              commands of peer_commands.c
    stack.peer.until('request 03')          waits for an event of the board
    exporter = stack.start()                as in tests/integration/harness.py
    stack.reads(exporter)                   waits until it serves what the board says now

As there, nothing sleeps and nothing asserts how long anything takes. All times are the machine's.
"""

import copy
import functools
import http.client
import io
import itertools
import json
import os
import re
import signal
import tarfile
import threading

import harness
import tap
from guest import Gone, Guest
from harness import ROOT, Answer, Bench, Failed, check, equal
from readings import TRUTH, set_truth

BUILD = ROOT + '/build'
LOGS = BUILD + '/realstack/logs'
BLUETOOTHD = '/usr/libexec/bluetooth/bluetoothd'
AIR = '/tmp/bt-server-le'
NOBODY = 65534
TRACE = bool(os.environ.get('BMS_TRACE'))
PATIENCE = 4      # factor for all limits: waiting is cheap
LOOK_AGAIN = 0.5  # s: where nothing tells that something has happened
SCRAPE_EVERY = 0.2  # s: at most, for what tells that much happens tells little of the metrics


def case(function=None, watched=True):
    """
    Registers a case. It is called with a stack on which bluetoothd and one board are up. A case
    that is not watched takes half the time, but nobody looks at what is said on the bus.
    """
    if not function:
        return functools.partial(case, watched=watched)

    @functools.wraps(function)
    def run(stack):
        stack.begin(function.__name__, watched)
        function(stack)
    return tap.test(run)


class Laboratory:
    """Has a virtual machine for each case: one that served before, unless a case failed in it."""

    def __init__(self, machine):
        self.machine = machine
        self.lock = threading.Lock()
        self.idle = []
        self.count = 0
        self.unbootable = None  # why

    def bench(self):
        return Stack(self)

    def take(self):
        with self.lock:
            if self.idle:
                return self.idle.pop()
            if self.unbootable:
                raise self.unbootable
            self.count += 1
            number = self.count
        try:
            return self._boot(number)
        except Gone as error:
            self.unbootable = error  # nor will it be for the next case
            raise

    def _boot(self, number):
        os.makedirs(LOGS, exist_ok=True)
        image = '%s/image%d' % (LOGS, number)
        self.machine.write_image(image, {
            '/bin/bms-exporter': harness.EXPORTER,
            '/bin/realstack-peer': BUILD + '/realstack-peer',
            '/bin/agent': BUILD + '/realstack-agent'})
        guest = Guest(self.machine, image, '%s/console%d' % (LOGS, number))
        os.unlink(image)
        # The bus stays over all cases, as it does on a machine.
        guest.spawn(['dbus-daemon', '--system', '--nofork', '--nopidfile'], file='/tmp/dbus.log')
        return guest

    def give_back(self, guest):
        with self.lock:
            self.idle.append(guest)

    def end(self):
        for guest in self.idle:
            guest.end()


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
    """A process that is there for others; what it says goes to a file in the machine."""

    def __init__(self, stack, name, command):
        self.name = name
        self.child = stack.guest.spawn(command, file='%s/%s.log' % (stack.place, name))

    def status(self):
        return self.child.status

    def kill(self, number=signal.SIGKILL):
        self.child.end(number)

    def signal(self, number):
        self.child.signal(number)


class Exporter(harness.Exporter):
    """The program under test; what it does is as there, but it runs in here."""

    ports = itertools.count(9000)

    def __init__(self, stack, *arguments, serves=True):
        self.bench = stack
        self.name = 'bms-exporter'
        self.lines = []
        self.scraped = None
        self.scraped_at = 0
        self.awaited = False
        self.port = next(self.ports)
        self.command = ['bms-exporter', *arguments]
        if serves:
            self.command.append('--web.listen-address=127.0.0.1:%d' % self.port)
        self.child = stack.guest.spawn(self.command, user=NOBODY, on_output=self._hear)
        if serves:
            stack.eventually('bms-exporter to serve',
                             lambda: self.status() is not None or self._exchange('HEAD', '/'))

    def _hear(self, stream):
        if stream == 2:
            self.lines += [line for line in self.child.take_lines(stream) if 'web: ' not in line]

    @property
    def output(self):
        return self.child.said[1]

    def kill(self):
        self.child.end(signal.SIGKILL)

    def signal(self, number):
        self.child.signal(number)

    def status(self):
        return self.child.status

    def collect(self):
        pass  # its end is told after all that it has said

    def _exchange(self, method, path):
        return self.bench.guest.run(
            'nc', '127.0.0.1', self.port,
            text='%s %s HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n' % (method, path))

    def get(self, path='/metrics', method='GET'):
        answer = self._exchange(method, path)
        check(answer, 'no answer to %s %s' % (method, path))
        response = http.client.HTTPResponse(Received(answer), method=method)
        response.begin()
        return Answer(response)

    def metrics(self):
        while self.bench.guest.now < self.scraped_at + SCRAPE_EVERY:
            self.bench.guest.wait(SCRAPE_EVERY)
        self.scraped_at = self.bench.guest.now
        return super().metrics()


class Received:
    """Bytes in the place of a socket, for http.client."""

    def __init__(self, content):
        self.content = content

    def makefile(self, mode):
        return io.BytesIO(self.content)


class Peer:
    """A board on the air."""

    def __init__(self, stack, number=0):
        self.stack = stack
        self.address = None
        self.events = []  # (when, text)
        self.answers = []
        self.truth = copy.deepcopy(TRUTH)
        self.child = stack.guest.spawn(['realstack-peer', AIR, 'xiaoxiang BMS', str(number)],
                                       on_output=self._hear)
        stack.eventually('the board on the air', lambda: self.address)
        self.tell()

    def _hear(self, stream):
        for line in self.child.take_lines(stream):
            word, _, rest = line.partition(' ')
            if word == 'event':
                self.events.append((self.stack.guest.now, rest))
            elif word == 'ready':
                self.address = rest
            else:
                self.answers.append(line)

    def __call__(self, *commands):
        """Sends commands; returns the answer to the last one without its ok."""
        before = len(self.answers)
        self.child.write(''.join(each + '\n' for each in commands))
        self.stack.eventually('answers to ' + commands[0],
                              lambda: len(self.answers) >= before + len(commands))
        for command, answer in zip(commands, self.answers[before:]):
            check(answer.startswith('ok'), 'peer: %s: %s' % (command, answer))
        return self.answers[-1][3:]

    def tell(self, **values):
        """Makes the board say this from now on."""
        for key, value in values.items():
            setattr(self.truth, key, value)
        commands = []
        set_truth(lambda *each: commands.extend(each), '', self.truth)
        self(*commands)

    def state(self):
        return {key: int(value) for key, value in
                (each.split('=') for each in self('status').split())}

    def mark(self):
        """A place in the list of events, for until()."""
        return len(self.events)

    def until(self, pattern, after=0, limit=harness.LIMIT):
        """Waits for an event; returns the mark behind it."""
        def find():
            for i in range(after, len(self.events)):
                if re.match(pattern, self.events[i][1]):
                    return i + 1
            return None
        return self.stack.eventually('the board\'s event "%s"' % pattern, find, limit)

    def kill(self):
        self.child.end()


class Stack(Bench):
    """All that one case has started. As a context manager it ends it, whatever has happened."""

    def __init__(self, laboratory):
        super().__init__()
        self.laboratory = laboratory
        self.guest = None
        self.name = None
        self.place = None  # directory in the machine
        self.bluez = None
        self.air = None
        self.peers = []
        self.watched = True
        self.rival_calls = []  # that a monitor must not make, made by a case for another program
        self.kept = False

    @property
    def peer(self):
        return self.peers[0]

    @property
    def logs(self):
        return '%s/%s' % (LOGS, self.name)

    # ---- starting ----------------------------------------------------------------------------

    def begin(self, name, watched):
        self.name = name
        self.watched = watched
        self.place = '/tmp/' + name
        self.guest = self.laboratory.take()
        self.guest.shell('rm -rf /var/lib/bluetooth/*; mkdir ' + self.place)
        self.eventually('the system bus', lambda: self.guest.run(
            'test', '-S', '/run/dbus/system_bus_socket') is not None)
        if TRACE:
            self._start_daemon('btmon', 'btmon', '-w', self.place + '/trace.btsnoop')
        if watched:
            self._start_daemon('bus', 'busctl', 'monitor', '--json=short', 'org.bluez')
        self.start_air()
        self.start_bluez()
        self.start_peer()
        self.eventually('an adapter', lambda: self.adapter('Powered') == 'true')

    def _start_daemon(self, name, *command):
        return self._keep(Daemon(self, name, command))

    def controllers(self):
        return self.guest.shell('ls /sys/class/bluetooth').split()

    def start_air(self, controllers=1):
        self.guest.run('rm', '-f', AIR)
        self.air = self._start_daemon('btvirt', 'btvirt', '-L', '-l1', '-s')
        self.eventually('btvirt', lambda: len(self.controllers()) == controllers and
                        self.guest.run('test', '-S', AIR) is not None)

    def pull_controller(self):
        """Takes the controller out, and the board with it: both are btvirt's."""
        self.air.kill()
        board = self.peers.pop(0)
        self.started.remove(board)
        board.kill()

    def plug_controller(self):
        """Puts it in again, where it gets another name: the old one is taken by a dead one."""
        self._start_daemon('dead', 'sh', '-c', 'exec 3<>/dev/vhci; printf "\\377\\0" >&3; '
                                               'exec sleep 1000000')
        self.eventually('the dead controller', lambda: self.controllers() == ['hci0'])
        self.start_air(2)
        self.start_peer()

    def start_bluez(self):
        self.bluez = self._start_daemon('bluetoothd', BLUETOOTHD, '-n',
                                        *(['-d'] if self.watched else []),
                                        '-f', '/etc/bluetooth/main.conf')

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
        self.exporter = self._keep(Exporter(self, *arguments, '--log.level=debug', **settings))
        return self.exporter

    # ---- waiting and looking -----------------------------------------------------------------

    def eventually(self, what, condition, limit=harness.LIMIT):
        """The only wait there is: until condition() is true; returns its value."""
        limit *= PATIENCE
        deadline = self.guest.now + limit
        while True:
            check(not self.interrupted, 'interrupted')
            value = condition()
            if value:
                return value
            check(self.guest.now < deadline, 'waited %g s in vain for %s' % (limit, what))
            self.guest.wait(LOOK_AGAIN)

    def property(self, path, interface, name):
        """A property's value as busctl prints it, or None."""
        printed = self.guest.run('busctl', '--timeout=5', 'get-property', 'org.bluez', path,
                                 'org.bluez.' + interface, name)
        return None if printed is None else printed.decode().strip().partition(' ')[2]

    def adapter(self, name, path='/org/bluez/hci0'):
        return self.property(path, 'Adapter1', name)

    def device(self, name, peer=None, adapter='/org/bluez/hci0'):
        address = (peer or self.peer).address.replace(':', '_')
        return self.property('%s/dev_%s' % (adapter, address), 'Device1', name)

    def characteristic(self, name, path):
        return self.property(path, 'GattCharacteristic1', name)

    def find_characteristic(self, uuid='0000ff01'):
        """The path of a characteristic of the board, or None."""
        paths = (self.guest.run('busctl', '--list', 'tree', 'org.bluez') or b'').decode().split()
        return next((path for path in paths if re.search(r'/char[0-9a-f]{4}$', path) and
                     (self.property(path, 'GattCharacteristic1', 'UUID') or '').startswith(
                         '"' + uuid)), None)

    def power(self, on):
        check(self.guest.run('busctl', 'set-property', 'org.bluez', '/org/bluez/hci0',
                             'org.bluez.Adapter1', 'Powered', 'b', 'true' if on else 'false')
              is not None, 'the adapter cannot be switched')

    def rfkill(self, blocked):
        self.guest.shell('cd /sys/class/bluetooth/hci0/rfkill* && echo %d >soft' % blocked)

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
        if self.watched:
            self._check_calls()

    def calls(self):
        """The calls of others to bluetoothd, in order, as Call."""
        calls, open_calls = [], {}
        with open(self.logs + '/bus.log', encoding='utf-8') as file:
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
        strange = [call for call in calls if call.member not in CALLS[call.interface]]
        equal([call.member for call in strange], self.rival_calls, 'unexpected calls')
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
        try:
            self._keep_logs()
        except (Gone, Failed) as error:
            return str(error)
        text = super()._describe()
        for each in self.started:
            if isinstance(each, Daemon) and each.status() and each.status() > 0:
                text += '\n---- %s: ended with %d\n' % (each.name, each.status())
                with open('%s/%s.log' % (self.logs, each.name), errors='replace') as file:
                    text += ''.join(file.readlines()[-20:])
        return '%s\nAll logs: %s\n' % (text, self.logs)

    def _keep_logs(self):
        """For whoever looks into a failure, or wants to see how things go."""
        if self.kept or not self.guest:
            return
        self.kept = True
        os.makedirs(self.logs, exist_ok=True)
        for each in self.started:
            if isinstance(each, Exporter):
                with open(self.logs + '/exporter.log', 'a') as file:
                    file.write('\n'.join(['---- ' + ' '.join(each.command)] + each.lines + ['']))
            elif isinstance(each, Peer):
                with open('%s/peer-%s.log' % (self.logs, each.address.replace(':', '')), 'a') as file:
                    file.writelines('%.3f %s\n' % event for event in each.events)
            elif each.name in ('btmon', 'bus'):
                each.kill(signal.SIGTERM)  # they write when they end
        self.guest.shell('dmesg >%s/kernel.log; mv /tmp/core.* %s' % (self.place, self.place))
        packed = self.guest.run('tar', '-c', '-C', self.place, '.')
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(self.logs)

    def __exit__(self, kind, value, trace):
        sound = False
        try:
            super().__exit__(kind, value, trace)
            if kind is None and self.guest:
                self.eventually('the end of all controllers', lambda: not self.controllers())
                self.guest.run('rm', '-rf', self.place)
                sound = True
        finally:
            if sound:
                self.laboratory.give_back(self.guest)
            elif self.guest:
                self.guest.end()
        return False
