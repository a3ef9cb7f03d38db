# SPDX-License-Identifier: MIT
"""
What a soak stands on: that of tests/realstack, with a board whose values tell when they were said,
and with what is needed to make and to mend each fault.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE) + '/realstack')

import collections
import glob
import re
import signal
import subprocess
import threading
import time

import stack  # first: it knows where the others are
import epochs
import measure
from harness import Bench, check, equal
from stack import Daemon, Peer, Stack

MEMORY = 400  # requests of a register that are remembered


class Board(Peer):
    """A board that says another epoch whenever it is told to, and remembers which it said when."""

    def __init__(self, field):
        self.epoch = field.epoch
        self.asked = field.asked
        self.answer = None
        super().__init__(field)

    def _read(self):
        for line in self.child.stdout:
            word, _, rest = line.strip().partition(' ')
            if word == 'event':
                self._event(rest)
            elif word == 'ready':
                self.address = rest
            elif rest or word != 'ok':
                self.answer = line.strip()
            self.pulse.beat()

    def _event(self, text):
        what, _, register = text.partition(' ')
        if what == 'request':
            self.asked[register].append((time.time(), self.epoch))
        self.stack.happened(text)

    def __call__(self, *commands):
        """Sends commands; they are done before anything else happens to the board."""
        self.child.stdin.write(''.join(command + '\n' for command in commands))
        self.child.stdin.flush()

    def tell(self):
        self.epoch = self.stack.epoch
        self(*epochs.commands(self.epoch))

    def state(self):
        self.answer = None
        self('status')
        self.stack.eventually('the board\'s status', lambda: self.answer)
        return {key: int(value) for key, value in
                (each.split('=') for each in self.answer.split()[1:])}


class Field(Stack):
    def __init__(self):
        super().__init__()
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
        return self.peer

    def log(self, name):
        return '%s/%s.log' % (stack.SHARE, name)

    def begin(self):
        for each in glob.glob('/var/lib/bluetooth/*'):
            check(False, 'BlueZ remembers something: ' + each)
        self.start_bus_again()
        self.start_air()
        self.start_board()
        self.eventually('an adapter', lambda: self.adapter('Powered') == 'true')

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

    def pull_controller(self):
        self.stop_board()
        self._forget(self.air)
        self.air.kill()

    def plug_controller(self, under_another_name):
        dead = None
        if under_another_name:
            dead = os.open('/dev/vhci', os.O_RDWR)
            os.write(dead, b'\xff\x00')
            self.eventually('the dead controller',
                            lambda: os.path.exists('/sys/class/bluetooth/hci0'))
        self.start_air(2 if under_another_name else 1)
        self.start_board()
        if dead is not None:
            os.close(dead)

    def power(self, on):
        """Of the one adapter there is; its name may have changed."""
        found = re.findall(r'/org/bluez/hci\d+', ' '.join(measure.object_paths()))
        subprocess.run(['busctl', 'set-property', 'org.bluez', found[0], 'org.bluez.Adapter1',
                        'Powered', 'b', 'true' if on else 'false'], check=True)

    def start_bluez(self):
        # Without its -d: a day of that fills a disk.
        self.bluez = self._keep(Daemon('bluetoothd', [
            stack.BLUETOOTHD, '-n', '-f', '/mnt/tools/etc/bluetooth/main.conf'],
            self.log('bluetoothd')))

    def stop_bluez(self, number=signal.SIGKILL):
        self._forget(self.bluez)
        self.bluez.kill(number)

    def start_bus_again(self):
        Stack.start_system_bus()
        self.eventually('the system bus', self._bus_answers)
        self.start_bluez()

    @staticmethod
    def _bus_answers():
        try:
            return measure.names()
        except subprocess.CalledProcessError:
            return None

    def stop_bus(self):
        """bluetoothd ends with it by itself."""
        Stack.bus.kill(signal.SIGTERM)
        self.eventually('the end of bluetoothd', lambda: self.bluez.status() is not None)
        self._forget(self.bluez)

    # ---- the program -----------------------------------------------------------------------------

    def start(self, *arguments):
        return Bench.start(self, *arguments, self.board.address)

    def hold_exporter(self, held):
        self.held = held
        self.exporter.signal(signal.SIGSTOP if held else signal.SIGCONT)

    # ---- ending ----------------------------------------------------------------------------------

    def _close(self):
        Bench._close(self)
        self.violations += self.board.state()['violations']
        equal(self.violations, 0, 'requests that a monitor must never send')

    def _describe(self):
        return Bench._describe(self)
