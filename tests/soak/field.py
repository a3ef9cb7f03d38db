# SPDX-License-Identifier: MIT
"""
What a soak stands on: the kernel's Bluetooth with a controller of btvirt, the real bluetoothd on a
real system bus, a board behind btvirt's other side (tests/realstack/peer.c) whose values tell when
they were said, and the shipped program as an ordinary user. And what makes and mends each fault.
"""

import os
import sys

# Before harness.py looks: the program runs as nobody, and limits are of virtual time.
os.environ.setdefault('BMS_WRAPPER', 'setpriv --reuid=65534 --regid=65534 --clear-groups --')
os.environ.setdefault('BMS_SLOWDOWN', '4')
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE) + '/integration')

import collections
import glob
import re
import signal
import subprocess
import threading
import time

import epochs
import measure
from harness import Bench, equal

PEER = '/run/realstack-peer'
BLUETOOTHD = '/mnt/tools/usr/libexec/bluetooth/bluetoothd'
SHARE = '/mnt/share'
AIR = '/tmp/bt-server-le'
MEMORY = 400  # requests of a register that are remembered

BUS_CONFIG = '''<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <include>/usr/share/dbus-1/system.conf</include>
  <includedir>/mnt/tools/etc/dbus-1/system.d</includedir>
</busconfig>
'''


class Daemon:
    """A process that is there for others; what it says goes to a file."""

    def __init__(self, name, *command):
        with open('%s/%s.log' % (SHARE, name), 'ab') as file:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file,
                                          stderr=subprocess.STDOUT)

    def status(self):
        return self.child.poll()

    def kill(self, number=signal.SIGKILL):
        if self.status() is None:
            self.signal(number)
            self.child.wait()

    def signal(self, number):
        self.child.send_signal(number)


class Board:
    """A board that says another epoch whenever it is told to, and remembers which it said when."""

    def __init__(self, field):
        self.field = field
        self.epoch = field.epoch
        self.address = None
        self.answer = None
        self.child = subprocess.Popen([PEER, AIR, 'xiaoxiang BMS', '0'], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        field.eventually('the board on the air', lambda: self.address)
        self.tell()

    def _read(self):
        for line in self.child.stdout:
            word, _, rest = line.strip().partition(' ')
            if word == 'event':
                self._event(rest)
            elif word == 'ready':
                self.address = rest
            elif rest or word != 'ok':
                self.answer = line.strip()
            self.field.pulse.beat()

    def _event(self, text):
        what, _, register = text.partition(' ')
        if what == 'request':
            self.field.asked[register].append((time.time(), self.epoch))
        self.field.happened(text)

    def __call__(self, *commands):
        """Sends commands; they are done before anything else happens to the board."""
        self.child.stdin.write(''.join(command + '\n' for command in commands))
        self.child.stdin.flush()

    def tell(self):
        self.epoch = self.field.epoch
        self(*epochs.commands(self.epoch))

    def state(self):
        self.answer = None
        self('status')
        self.field.eventually('the board\'s status', lambda: self.answer)
        return {key: int(value) for key, value in
                (each.split('=') for each in self.answer.split()[1:])}

    def kill(self):
        """In an orderly way: btvirt would keep its link."""
        try:
            self.child.stdin.close()
        except BrokenPipeError:
            pass  # btvirt has ended before it
        self.child.wait()
        self.reader.join()
        self.child.stdout.close()


class Field(Bench):
    def __init__(self):
        super().__init__()
        self.air = None
        self.bluez = None
        self.peers = []  # the board, unless it is pulled out together with the controller
        self.epoch = 0
        self.asked = collections.defaultdict(lambda: collections.deque(maxlen=MEMORY))
        self.held = False
        self.said_at = [0] * epochs.EPOCHS  # when each epoch began
        self.timers = []  # (when, function)
        self.awaited = None  # (event of the board, function)
        self.woken = threading.Event()
        self.violations = 0

    @property
    def board(self):
        return self.peers[0]

    def environment(self, more=None):
        env = super().environment(more)
        del env['DBUS_SYSTEM_BUS_ADDRESS']
        return env

    def begin(self):
        equal(glob.glob('/var/lib/bluetooth/*'), [], 'what BlueZ remembers')
        self.start_bus_again()
        self.start_air()
        self.start_board()
        self.eventually('an adapter', self.adapter)

    def _forget(self, what):
        self.started.remove(what)

    # ---- time ------------------------------------------------------------------------------------

    def later(self, seconds, function):
        self.timers.append((time.monotonic() + seconds, function))

    def run_timers(self):
        now = time.monotonic()
        due = sorted((each for each in self.timers if each[0] <= now), key=lambda each: each[0])
        for each in due:
            self.timers.remove(each)
            each[1]()

    def at_event(self, event, function):
        """Calls the function at the moment in which this happens to the board, once."""
        self.awaited = event, function

    def happened(self, text):
        """In the thread that hears of the board."""
        awaited = self.awaited
        if awaited and text.startswith(awaited[0]):
            self.awaited = None
            self.later(0, awaited[1])
            self.woken.set()

    def wait(self):
        """Until the next timer, or until something awaited happens."""
        left = min(when for when, _ in self.timers) - time.monotonic()
        if left > 0:
            self.woken.wait(left)
        self.woken.clear()
        self.run_timers()

    # ---- the board -------------------------------------------------------------------------------

    def start_board(self):
        self.peers.append(self._keep(Board(self)))

    def stop_board(self):
        self.violations += self.board.state()['violations']
        board = self.peers.pop()
        self._forget(board)
        board.kill()

    def next_epoch(self):
        self.epoch = (self.epoch + 1) % epochs.EPOCHS
        self.said_at[self.epoch] = time.time()
        if self.peers:
            self.board.tell()

    # ---- controller, bluetoothd, bus -------------------------------------------------------------

    @staticmethod
    def adapter():
        """Path of the one adapter there is, None without. Its name may change."""
        try:
            found = [path for path in measure.object_paths()
                     if re.fullmatch(r'/org/bluez/hci\d+', path)]
        except subprocess.CalledProcessError:
            return None
        return found[0] if found else None

    def power(self, on):
        subprocess.run(['busctl', 'set-property', 'org.bluez', self.adapter(),
                        'org.bluez.Adapter1', 'Powered', 'b', 'true' if on else 'false'],
                       check=True)

    def start_air(self, controllers=1):
        if os.path.exists(AIR):
            os.unlink(AIR)
        self.air = self._keep(Daemon('btvirt', 'btvirt', '-L', '-l1', '-s'))
        self.eventually('btvirt', lambda: os.path.exists(AIR) and
                        len(glob.glob('/sys/class/bluetooth/hci?')) == controllers)

    def pull_controller(self):
        """Takes the controller out, and the board with it: both are btvirt's."""
        self.stop_board()
        self._forget(self.air)
        self.air.kill()

    def plug_controller(self, under_another_name):
        dead = None
        if under_another_name:  # hci0 is taken by one that answers nothing
            dead = os.open('/dev/vhci', os.O_RDWR)
            os.write(dead, b'\xff\x00')
            self.eventually('the dead controller',
                            lambda: os.path.exists('/sys/class/bluetooth/hci0'))
        self.start_air(2 if under_another_name else 1)
        self.start_board()
        if dead is not None:
            os.close(dead)

    def start_bluez(self):
        # Without its -d: a day of that fills a disk.
        self.bluez = self._keep(Daemon('bluetoothd', BLUETOOTHD, '-n', '-f',
                                       '/mnt/tools/etc/bluetooth/main.conf'))

    def stop_bluez(self, number=signal.SIGKILL):
        self._forget(self.bluez)
        self.bluez.kill(number)

    @staticmethod
    def _bus_answers():
        try:
            return measure.names()
        except subprocess.CalledProcessError:
            return None

    def start_bus_again(self):
        config = self.directory + '/system-bus.conf'
        with open(config, 'w') as file:
            file.write(BUS_CONFIG)
        self.bus = self._keep(Daemon('dbus-daemon', 'dbus-daemon', '--nofork', '--nopidfile',
                                     '--config-file=' + config))
        self.eventually('the system bus', self._bus_answers)
        self.start_bluez()

    def stop_bus(self):
        """bluetoothd ends with it by itself."""
        self._forget(self.bus)
        self.bus.kill(signal.SIGTERM)
        self.eventually('the end of bluetoothd', lambda: self.bluez.status() is not None)
        self._forget(self.bluez)

    # ---- the program -----------------------------------------------------------------------------

    def start_exporter(self, *arguments):
        return self.start(*arguments, self.board.address)

    def hold_exporter(self, held):
        self.held = held
        self.exporter.signal(signal.SIGSTOP if held else signal.SIGCONT)

    # ---- ending ----------------------------------------------------------------------------------

    def _close(self):
        super()._close()
        self.violations += self.board.state()['violations']
        equal(self.violations, 0, 'requests that a monitor must never send')
