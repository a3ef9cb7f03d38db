# SPDX-License-Identifier: MIT
"""The three that are compared, each alone on a private bus with its own simulated battery."""

import os
import socket
import sys
import time

import dbus
import dbus.bus

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, ROOT + '/tests/integration')

import harness  # noqa: E402

NAMES = ('exporter', 'floor', 'python')
INTERVAL = .5  # s: the shortest that there is

# One battery, a board that behaves, and times that do not vary, so that what varies is measured.
BOARD = ',cells=16,ntc=3,tail=9,steady,known,no-lose-first'
BATTERY = harness.ADDRESS + BOARD
TIMES = {'connect-time': .02, 'resolve-time': .02, 'notify-time': .01, 'write-time': .001,
         'discover-time': .02, 'disconnect-time': .02, 'latency': .03}


class Contestant(harness.Process):
    """A process, with the times of its start and of its lines."""

    def __init__(self, bench, name, command):
        self.when = []
        self.began = time.monotonic()
        self.bench = bench
        super().__init__(bench.pulse, name, command, bench.environment())
        self.pid = self.child.pid

    def _read_lines(self):
        for line in self.child.stderr:
            self.when.append(time.monotonic())
            self.lines.append(line.decode('utf-8', 'replace').rstrip('\n'))
            self.pulse.beat()

    def first_values(self):
        """When it had read its first battery."""
        def find():
            harness.check(self.status() is None, '%s ended: %s' % (self.name, self.lines))
            for i, line in enumerate(self.lines[:len(self.when)]):
                if 'first readings' in line:
                    return self.when[i]
            return None
        return self.bench.eventually('first readings', find)


class Arena(harness.Bench):
    """A bus, a stand-in and one contestant."""

    places = None  # the paths of the battery's device and characteristics
    body = None    # an exposition, for the floor to serve

    def __init__(self, name, batteries=(BATTERY,), interval=INTERVAL, times=TIMES):
        super().__init__()
        self.name = name
        self.batteries = batteries
        self.interval = interval
        self.times = times
        self.port = free_port()
        self.process = None

    def __enter__(self):
        super().__enter__()
        self.start_bus()
        self.start_sim(*self.batteries)
        self.sim(*('set %s %g' % each for each in self.times.items()))
        return self

    def launch(self):
        self.process = self._keep(Contestant(self, self.name, self.command()))
        return self.process

    def command(self):
        if self.name == 'exporter':
            return [harness.EXPORTER, '--web.listen-address=127.0.0.1:%d' % self.port,
                    '--poll.interval=%dms' % (self.interval * 1000)] + [
                        b.split(',')[0] for b in self.batteries]
        rest = list(self.places) + [str(self.port), '%d' % (self.interval * 1000)]
        if self.name == 'floor':
            path = self.directory + '/body'
            with open(path, 'wb') as file:
                file.write(self.body)
            return [ROOT + '/build/bench/floor'] + rest + [path]
        return ['/usr/bin/python3', HERE + '/python-exporter.py'] + rest

    def settled(self):
        """Launched, first values read, and what comes once in a session is over."""
        process = self.launch()
        process.first_values()
        self.wait_polls(2)
        return process

    def wait_polls(self, n):
        """Waits for the end of the next n polls of the first battery; returns the last mark."""
        mark = self.sim.mark()
        for _ in range(n):
            mark = self.sim.until('reply %s 04' % harness.ADDRESS, mark)
        return mark

    def get(self):
        connection = harness.http.client.HTTPConnection('127.0.0.1', self.port, timeout=20)
        try:
            connection.request('GET', '/metrics')
            return connection.getresponse().read()
        finally:
            connection.close()

    def first_byte(self):
        """Tries from the start on until /metrics sends something; returns when."""
        while True:
            try:
                with socket.create_connection(('127.0.0.1', self.port)) as client:
                    client.sendall(b'GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n')
                    if client.recv(1):
                        return time.monotonic()
            except ConnectionError:
                time.sleep(.0003)

    @classmethod
    def prepare(cls):
        """Finds out what the others must be told, by way of the exporter."""
        with cls('exporter') as arena:
            arena.settled()
            cls.body = arena.get()
            bus = dbus.bus.BusConnection('unix:path=%s/bus' % arena.directory)
            manager = dbus.Interface(bus.get_object('org.bluez', '/'),
                                     'org.freedesktop.DBus.ObjectManager')
            uuids = {str(interfaces['org.bluez.GattCharacteristic1']['UUID'])[4:8]: str(path)
                     for path, interfaces in manager.GetManagedObjects().items()
                     if 'org.bluez.GattCharacteristic1' in interfaces}
            bus.close()
        notify = uuids['ff01']
        cls.places = (notify[:notify.index('/service')], notify, uuids['ff02'])


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as server:
        return server.getsockname()[1]


def daemon_of(arena):
    """The process id of dbus-daemon."""
    return arena.bus.child.pid

