#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""--scan: what is in range, as lines in a pipe and as a table that is redrawn on a terminal."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

import codecs
import fcntl
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import unicodedata

from harness import (ADDRESS, ADDRESS2, ADDRESS3, EXPORTER, WRAPPER, Bench, check, equal)
from tap import run, test

THERMOMETER = 'A4:C1:38:00:00:09,name=ATC_THERMO,advertises=181a'
EVIL = 'ev\x1b[31mil\t\x07\u202e\u2028\x9b2Jname'


def scan(bench, *batteries, arguments=('--scan=2',), bus=True, **settings):
    if bus:
        bench.start_bus()
        bench.start_sim(*batteries)
    return bench.start(*arguments, hand_over=False, **settings)


def rows_of(exporter):
    """The latest line of each device, as address -> (signal, board, state, name, why)."""
    text = exporter.output.decode()
    check(not re.search('[^\\n\\t -~\x80-\U0010ffff]', text), 'control characters: %r' % text)
    lines = [line.split('\t') for line in text.splitlines()]
    for line in lines:
        equal(len(line), 6, 'fields of %s' % line)
    return {line[0]: line[1:] for line in lines}


def done(bench, exporter, status):
    equal(exporter.end(), status, 'exit status, with %s' % exporter.log)
    if bench.sim:
        equal(bench.sim.state()['adapters'][0]['discovering'], False, 'discovering')
        # It was stopped, and did not only go with the connection to the bus.
        equal(bench.sim.seen('client-gone'), [], 'clients that left a discovery')
    return rows_of(exporter)


# ---- a pipe -----------------------------------------------------------------------------------

@test
def found(bench):
    """A board among neighbours: a line for each, the command to run next, exit status 0"""
    exporter = scan(bench, ADDRESS, THERMOMETER, '11:22:33:44:55:66,name=,advertises=none,random',
                    arguments=('--scan=5',))
    rows = done(bench, exporter, 0)
    # Signals have changed each second meanwhile; that alone is not worth a line.
    equal(exporter.output.count(b'\n'), 3, 'lines')
    equal(sorted(rows), ['11:22:33:44:55:66', ADDRESS, 'A4:C1:38:00:00:09'], 'devices')
    equal(rows[ADDRESS][1:], ['JBD', 'new', 'xiaoxiang BMS',
                              'service FF00, name, address A4:C1:38'], 'the board')
    check(re.fullmatch(r'-\d+', rows[ADDRESS][0]), 'signal %s' % rows[ADDRESS][0])
    equal(rows['A4:C1:38:00:00:09'][1:], ['-', 'new', 'ATC_THERMO', 'address A4:C1:38'],
          'the thermometer')
    equal(rows['11:22:33:44:55:66'][1:], ['-', 'new', '-', '-'], 'the nameless one')
    check('    bms-exporter --check ' + ADDRESS in exporter.log, 'no command: %s' % exporter.log)
    check('    bms-exporter ' + ADDRESS in exporter.log, 'no command: %s' % exporter.log)
    equal(len(bench.sim.seen('discovery on')), 1, 'discoveries')


@test
def kinds(bench):
    """Modules, makes and doubtful devices are told apart"""
    exporter = scan(bench, ADDRESS + ',name=my battery', ADDRESS2 + ',name=JBD-UP16S015-200A',
                    '70:3E:97:00:00:01,module=fff0,name=x', '11:00:00:00:00:01,module=fff0,name=x',
                    '11:00:00:00:00:02,name=JK-B2A8S20P,advertises=ffe0',
                    '11:00:00:00:00:03,name=DL-40180112,advertises=fff0',
                    '11:00:00:00:00:04,name=SP04S034,advertises=none',
                    'A5:C2:37:00:00:01,name=x,advertises=none',
                    'A5:C2:37:00:00:02,name=x,advertises=none,random')
    rows = done(bench, exporter, 0)
    equal({address: row[1] for address, row in rows.items()},
          {ADDRESS: 'JBD', ADDRESS2: 'UP16S', '70:3E:97:00:00:01': 'JBD',
           '11:00:00:00:00:01': 'maybe', '11:00:00:00:00:02': 'JK', '11:00:00:00:00:03': 'Daly',
           '11:00:00:00:00:04': 'JBD', 'A5:C2:37:00:00:01': 'maybe', 'A5:C2:37:00:00:02': '-'},
          'boards')
    check('another protocol' in rows[ADDRESS2][4], rows[ADDRESS2][4])
    check(exporter.count_log('cannot read.') == 1, 'nothing said of other makes')


@test
def hostile_names(bench):
    """Names with escapes, tabs and marks that turn text round are made harmless"""
    exporter = scan(bench, ADDRESS + ',name=' + EVIL, ADDRESS2 + ',name=' + 'x' * 600,
                    ADDRESS3 + ',name=電池' + '\u0301' * 30)
    rows = done(bench, exporter, 0)
    equal(rows[ADDRESS][3], 'ev\ufffd[31mil\ufffd\ufffd\ufffd\ufffd\ufffd2Jname', 'name')
    equal(rows[ADDRESS2][3], 'x' * 248, 'long name')
    equal(rows[ADDRESS3][3], '電池\u0301\u0301', 'name with marks')


@test
def known(bench):
    """What bluetoothd knows already is told, and unheard only of what may be a board"""
    exporter = scan(bench, ADDRESS + ',paired', ADDRESS2 + ',known,absent',
                    '11:22:33:44:55:66,name=mouse,advertises=none,known,absent',
                    '11:22:33:44:55:67,name=keyboard,advertises=none,known')
    rows = done(bench, exporter, 0)
    equal(rows[ADDRESS][2], 'bonded', 'state')
    equal(rows[ADDRESS2][0:3], ['-', 'JBD', 'known,unheard'], 'the absent one')
    equal(rows['11:22:33:44:55:67'][2], 'known', 'state of another device')
    check('11:22:33:44:55:66' not in rows, 'an absent mouse is told of')
    check('    bms-exporter ' + ADDRESS in exporter.log, 'the absent one is suggested')
    check(exporter.count_log('unheard') == 1, 'not explained')


@test
def nothing(bench):
    """Nothing that is a board: exit status 1, and what to try"""
    exporter = scan(bench, THERMOMETER, ADDRESS + ',known,absent')
    done(bench, exporter, 1)
    check(exporter.count_log('close its app') == 1, 'no advice')
    check('bms-exporter: error: no JBD board found' in exporter.log, 'no reason')


@test
def doubtful(bench):
    """Only something doubtful: exit status 1, and how to find out"""
    exporter = scan(bench, '11:00:00:00:00:01,module=fff0,name=x',
                    arguments=('--scan=1', '--adapter=hci0'))
    done(bench, exporter, 1)
    check('    bms-exporter --check --adapter=hci0 11:00:00:00:00:01' in exporter.log,
          'no command: %s' % exporter.log)


@test
def changes(bench):
    """A device is told of again when it is disconnected, not when its signal changes"""
    bench.up()
    running = bench.exporter
    running.fresh()
    exporter = scan(bench, bus=False, arguments=('--scan=300',))
    bench.eventually('a line', lambda: exporter.output.count(b'\n') == 1)
    equal(rows_of(exporter)[ADDRESS][0:3], ['-', 'JBD', 'known,connected'], 'connected')
    equal(running.stop(), 0, 'exit status of the other one')
    bench.eventually('a second line', lambda: exporter.output.count(b'\n') == 2)
    equal(rows_of(exporter)[ADDRESS][2], 'known', 'disconnected')
    exporter.signal(signal.SIGINT)
    equal(exporter.end(), 130, 'exit status')
    equal(exporter.output.count(b'\n'), 2, 'lines')


# ---- beside others ----------------------------------------------------------------------------

@test
def beside_a_session(bench):
    """A running exporter keeps its link, and its battery is told as connected"""
    bench.up()
    bench.exporter.fresh()
    exporter, running = scan(bench, bus=False), bench.started[2]
    rows = done(bench, exporter, 0)
    equal(rows[ADDRESS][0:3], ['-', 'JBD', 'known,connected'], 'the battery')
    check(exporter.count_log('belongs to a program') == 1, 'not explained')
    equal(running.metrics()('bms_up'), 1, 'bms_up')
    equal(bench.sim.battery()['links'], 1, 'links')


@test
def beside_a_discovery(bench):
    """The discovery of a running exporter goes on when the scan ends"""
    bench.up(battery=ADDRESS + ',absent')
    bench.sim.until('discovery on')
    exporter = scan(bench, bus=False, arguments=('--scan=1',))
    equal(exporter.end(), 1, 'exit status')
    equal(bench.sim.state()['adapters'][0]['discovering'], True, 'discovering')
    equal(bench.sim.seen('discovery off'), [], 'ends of the discovery')


# ---- its end ----------------------------------------------------------------------------------

for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
    def ended(bench, number=number, status=status):
        exporter = scan(bench, ADDRESS, arguments=('--scan=300',))
        bench.eventually('a line', lambda: exporter.output)
        exporter.signal(number)
        rows = done(bench, exporter, status)
        equal(list(rows), [ADDRESS], 'devices')
        bench.sim.until('discovery off')
    ended.__doc__ = 'ended by signal %d: the discovery is stopped, exit status %d' % (number, status)
    test(ended)


@test
def twice(bench):
    """The second signal does not wait for a bluetoothd that hangs"""
    exporter = scan(bench, ADDRESS, arguments=('--scan=300',))
    bench.eventually('a line', lambda: exporter.output)
    bench.sim('bluez hang')
    exporter.signal(signal.SIGINT)
    exporter.signal(signal.SIGTERM)
    check(exporter.end() in (130, 143), 'exit status')
    bench.sim('bluez resume')
    bench.sim.until('discovery off')  # it went with its connection to the bus


@test
def reader_gone(bench):
    """A reader that goes away ends it, with the discovery stopped"""
    bench.start_bus()
    bench.start_sim(ADDRESS)
    reader, writer = os.pipe()
    os.close(reader)
    child = subprocess.run(WRAPPER + [EXPORTER, '--scan=300'], stdout=writer,
                           stderr=subprocess.PIPE, env=bench.environment())
    os.close(writer)
    equal(child.returncode, 1, 'exit status')
    check(b'cannot write to standard output: Broken pipe' in child.stderr, child.stderr)
    bench.sim.until('discovery off')


@test
def adapter_pulled(bench):
    """The adapter is pulled while it scans: what was found, the reason, exit status 1"""
    exporter = scan(bench, ADDRESS, arguments=('--scan=300',))
    bench.eventually('a line', lambda: exporter.output)
    bench.sim('adapter remove')
    rows = done(bench, exporter, 1)
    equal(list(rows), [ADDRESS], 'devices')
    check(exporter.count_log('error: .* Bluetooth adapter') == 1, 'no reason')


# ---- what stands in the way -------------------------------------------------------------------

def impossible(name, reason, prepare):
    def function(bench):
        prepare(bench)
        exporter = scan(bench, bus=False)
        equal(exporter.end(), 1, 'exit status')
        equal(exporter.output, b'', 'standard output')
        equal(len(exporter.log), 1, 'lines: %s' % exporter.log)
        check(re.search('bms-exporter: error: ' + reason, exporter.log[0]), exporter.log[0])
        if bench.sim:
            bench.sim('bluez resume')
    function.__doc__ = 'impossible: ' + name
    test(function)


def after(*commands, rules=''):
    def prepare(bench):
        bench.start_bus(rules)
        bench.start_sim(ADDRESS)
        bench.sim(*commands, 'ping')
    return prepare


impossible('no bus', 'no D-Bus system bus; try: sudo systemctl start dbus', lambda bench: None)
impossible('no bluetoothd', 'bluetoothd is not running; try: sudo systemctl start bluetooth',
           lambda bench: bench.start_bus())
impossible('a bluetoothd that hangs', 'bluetoothd does not answer; try: .* restart bluetooth',
           after('bluez hang'))
impossible('a policy that forbids it', 'the D-Bus policy forbids talking to bluetoothd: ',
           after(rules='<deny send_destination="org.bluez"/>'))
impossible('no adapter', 'no such Bluetooth adapter.*; try: ', after('adapter remove'))
impossible('adapter off', 'the Bluetooth adapter is off or blocked.*; try: .*power on',
           after('adapter off'))


# ---- a terminal -------------------------------------------------------------------------------

class Emulator:
    """As much of a terminal as the program may use: anything else fails the test."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.lines = [[]]  # all that there ever was; the last self.rows are on the screen
        self.row = self.column = 0
        self.pending = ''
        self.finished = False  # an empty line stands between the table and the advice
        self.frames = []

    def feed(self, text):
        text = self.pending + text
        self.pending = ''
        while text:
            match = re.match('\x1b(\\[([0-9]*)([A-Za-z])?)?$', text)
            if match and not match.group(3):
                self.pending = text
                return
            match = re.match('\x1b\\[([0-9]*)([A-Za-z])', text)
            if match:
                self.control(match.group(2), match.group(1))
                text = text[match.end():]
            else:
                self.put(text[0])
                text = text[1:]

    def control(self, letter, number):
        line = self.lines[self.row]
        if letter == 'A':
            self.frames.append(self.text())
            self.row -= int(number)
            check(self.row >= max(0, len(self.lines) - self.rows), 'above the top of the screen')
        elif letter == 'K' and number == '':
            del line[self.column:]
        elif letter == 'J' and number == '':
            del line[self.column:]
            del self.lines[self.row + 1:]
        else:
            check(letter == 'm' and number in ('', '1'), 'unknown sequence %s%s' % (number, letter))

    def put(self, character):
        if character == '\r':
            self.column = 0
        elif character == '\n':
            self.finished |= not self.lines[self.row]
            self.row += 1
            if self.row == len(self.lines):
                self.lines.append([])
        else:
            check(character >= ' ' and character != '\x7f', 'control character %r' % character)
            wide = unicodedata.east_asian_width(character) in 'WF'
            width = 0 if unicodedata.combining(character) else 2 if wide else 1
            line = self.lines[self.row]
            line[self.column:] = line[self.column + width:]
            line[self.column:self.column] = [character] + [''] * (width - 1)
            self.column += width
            # Messages stand below the table, and a terminal may wrap them.
            check(self.column < max(self.columns, 80) or
                  self.text()[self.row].startswith('bms-exporter: '),
                  'a line that is too wide: %s' % self.text())
            check(self.column < self.columns or self.finished, 'a line as wide as the terminal')

    def text(self):
        return [''.join(line).rstrip() for line in self.lines]


class Terminal:
    """bms-exporter on a terminal of its own."""

    def __init__(self, bench, *arguments, columns=100, rows=24, env=None):
        self.bench = bench
        self.emulator = Emulator(columns, rows)
        self.raw = ''
        self.trouble = None
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        environment = bench.environment({'TERM': 'xterm'})
        environment.update(env or {})
        self.child = subprocess.Popen(
            WRAPPER + [EXPORTER] + list(arguments), env=environment, stdin=self.slave,
            stdout=self.slave, stderr=self.slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        bench.started.append(self)

    def _read(self):
        decoder = codecs.getincrementaldecoder('utf-8')()
        while True:
            try:
                text = decoder.decode(os.read(self.master, 65536))
            except OSError:
                return
            self.raw += text
            try:
                self.emulator.feed(text)
            except Exception as trouble:
                self.trouble = self.trouble or trouble
            self.bench.pulse.beat()

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode())

    def until(self, pattern):
        self.bench.eventually('"%s" on the terminal' % pattern,
                              lambda: re.search(pattern, '\n'.join(self.emulator.text())))

    def end(self, plain=False):
        """Waits for its end; returns the exit status and what is on the terminal."""
        self.bench.eventually('the end', lambda: self.child.poll() is not None)
        equal(termios.tcgetattr(self.slave), self.before, 'settings of the terminal')
        os.close(self.slave)
        self.thread.join()
        if self.trouble and not plain:
            raise self.trouble
        return self.child.returncode, self.emulator.text()

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        os.close(self.master)


def terminal(bench, *batteries, arguments=('--scan=2',), **settings):
    bench.start_bus()
    bench.start_sim(*batteries)
    return Terminal(bench, *arguments, **settings)


@test
def live_table(bench):
    """On a terminal: a table that is redrawn in place, and stays when it ends"""
    screen = terminal(bench, THERMOMETER, ADDRESS, ADDRESS2 + ',name=電池ケース')
    status, lines = screen.end()
    equal(status, 0, 'exit status')
    check(len(screen.emulator.frames) >= 3, 'drawn %d times' % len(screen.emulator.frames))
    equal(lines[0].split(), ['ADDRESS', 'SIGNAL', 'BOARD', 'STATE', 'NAME', 'WHY'], 'header')
    # The likely ones come first, and the columns stand below each other.
    equal(sorted(line[:17] for line in lines[1:3]), [ADDRESS, ADDRESS2], 'the boards')
    equal(lines[3][:17], 'A4:C1:38:00:00:09', 'the thermometer')
    japanese = next(line for line in lines if '電池' in line)
    equal(lines[0].index('WHY'), japanese.index('service') + 5, 'the last column')
    check(any(line.startswith('    bms-exporter --check') for line in lines), 'no command')
    check('Scanning' not in '\n'.join(lines), 'the live line is left over')
    check(any('Scanning' in line for frame in screen.emulator.frames for line in frame),
          'no live line')
    check('\x1b[1m' + ADDRESS in screen.raw, 'not emphasised')


@test
def interrupted_terminal(bench):
    """Ctrl-C ends it and gives the terminal back as it was"""
    screen = terminal(bench, ADDRESS, arguments=('--scan=300',))
    screen.until(ADDRESS)
    check(not termios.tcgetattr(screen.slave)[3] & termios.ECHO, 'what is typed is shown')
    screen.type('typed\n\x1a')  # is not shown; Ctrl-Z does not stop it
    screen.type('\x03')
    status, lines = screen.end()
    equal(status, 130, 'exit status')
    check('typed' not in screen.raw and '^C' not in screen.raw, 'what is typed is shown')
    equal([line for line in lines if line.startswith(ADDRESS)], [lines[1]], 'lines of the board')
    bench.sim.until('discovery off')


@test
def small_terminal(bench):
    """More devices than the terminal has lines: the likely ones, and how many more"""
    batteries = ['11:22:33:44:55:%02X,name=n%d,advertises=none' % (i, i) for i in range(40)]
    screen = terminal(bench, *batteries, ADDRESS, columns=40, rows=8, arguments=('--scan=4',))
    status, lines = screen.end()
    equal(status, 0, 'exit status')
    frame = screen.emulator.frames[-1]
    check(any(line == 'and 37 more' for line in frame), 'the picture: %s' % frame)
    check(any(line.startswith(ADDRESS) for line in frame), 'the board is not in the picture')
    # At the end there are all of them.
    equal(len([line for line in lines if line.startswith('11:22:33:44:55:')]), 40, 'at the end')


@test
def tiny_terminal(bench):
    """A terminal of one column or one row does no harm"""
    screen = terminal(bench, ADDRESS, columns=2, rows=1, arguments=('--scan=1',))
    equal(screen.end(plain=True)[0], 0, 'exit status')


@test
def resized_terminal(bench):
    """A terminal that becomes narrower gets narrower lines"""
    screen = terminal(bench, ADDRESS, arguments=('--scan=300',))
    screen.until(ADDRESS + '.*service')
    # The stand-in for a terminal breaks lines as real ones do not, so only new ones are looked at.
    screen.resize(40, 24)
    mark = len(screen.raw)
    bench.eventually('three pictures', lambda: screen.raw[mark:].count('Scanning') >= 3)
    last = screen.raw[screen.raw.rindex('Scanning'):].split('\n')
    check(all(len(re.sub('\x1b\\[[0-9]*[A-Za-z]|\r', '', line)) < 40 for line in last),
          'lines: %s' % last)
    screen.type('\x03')
    bench.eventually('the end', lambda: screen.child.poll() is not None)
    equal(screen.child.returncode, 130, 'exit status')


@test
def no_colour(bench):
    """NO_COLOR: nothing is emphasised"""
    screen = terminal(bench, ADDRESS, arguments=('--scan=1',), env={'NO_COLOR': '1'})
    equal(screen.end()[0], 0, 'exit status')
    check('m' not in re.findall('\x1b\\[[0-9]*([A-Za-z])', screen.raw), 'emphasised')


@test
def dumb_terminal(bench):
    """TERM=dumb: lines as in a pipe"""
    screen = terminal(bench, ADDRESS, arguments=('--scan=1',), env={'TERM': 'dumb'})
    equal(screen.end(plain=True)[0], 0, 'exit status')
    check('\x1b' not in screen.raw and ADDRESS + '\t' in screen.raw, screen.raw)


@test
def ascii_terminal(bench):
    """A terminal that is not set to UTF-8 gets ASCII"""
    screen = terminal(bench, ADDRESS + ',name=Bätterie', arguments=('--scan=1',),
                      env={'LC_ALL': 'C'})
    equal(screen.end()[0], 0, 'exit status')
    check(screen.raw.isascii() and 'B?tterie' in screen.raw, screen.raw)


@test
def hostile_terminal(bench):
    """Hostile names cannot reach the terminal"""
    screen = terminal(bench, ADDRESS + ',name=' + EVIL)
    status, lines = screen.end()
    equal(status, 0, 'exit status')
    check(lines[1].startswith(ADDRESS), lines)


@test
def fault_on_terminal(bench):
    """A fault while it scans stands below the table"""
    screen = terminal(bench, ADDRESS, arguments=('--scan=300',))
    screen.until(ADDRESS)
    bench.sim('adapter remove')
    status, lines = screen.end()
    equal(status, 1, 'exit status')
    check(lines[1].startswith(ADDRESS) and re.search('error: .* Bluetooth adapter', lines[-2]), lines)


run(Bench)
