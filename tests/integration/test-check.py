#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""--check: each step of the way to a battery, what is wrong with it, and what mends it."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

import random
import re
import signal
import socket
import subprocess

from harness import ADDRESS, ADDRESS2, EXPORTER, WRAPPER, Bench, check, equal
from readings import TRUE_BOARD, set_truth
from tap import Skip, run, test

MACHINE = ['bus', 'bluetoothd', 'policy', 'adapter', 'power']
STEPS = ['range', 'connect', 'services', 'notifications', '03', '04', '05', 'AA']


def start(bench, *arguments):
    """Without an address to listen on it takes one that nobody else does: 127.0.0.0/8 is large."""
    if not any(a.startswith('--web.listen-address') for a in arguments):
        free = '127.%d.%d.%d:4711' % tuple(random.randrange(1, 255) for _ in range(3))
        arguments = ('--web.listen-address=' + free,) + arguments
    return bench.start('--check', *arguments, hand_over=False)


def with_sim(bench, *batteries, arguments=(ADDRESS + '=house',), commands=(), rules=''):
    bench.start_bus(rules)
    bench.start_sim(*(batteries or [ADDRESS + TRUE_BOARD]))
    if not batteries:
        set_truth(bench.sim)
    bench.sim(*commands, 'ping')
    return start(bench, *arguments)


class Report:
    """What a check that has ended has said."""

    def __init__(self, exporter, status):
        equal(exporter.end(90), status, 'exit status, with %s %s' % (exporter.output, exporter.log))
        equal(exporter.log, [], 'standard error')
        self.lines = exporter.output.decode().splitlines()
        self.results = {}  # what -> (result, detail)
        self.remedies = {}
        what = None
        for line in self.lines[:-1]:
            match = re.fullmatch(r'(ok|wrong|note|-) +(\S.*)', line)
            if match:
                # Names hold no colon here.
                parts = re.fullmatch(r'(.*): (not checked)', match.group(2)) or \
                    re.fullmatch(r'((?:house: |other: )?[^:]+)(?:: (.*))?', match.group(2))
                what = parts.group(1)
                check(what not in self.results or what == 'port', 'told twice: ' + what)
                self.results[what] = (match.group(1), parts.group(2))
            else:
                match = re.fullmatch(r' {7}try: (\S.*)', line)
                check(match and self.results[what][0] == 'wrong', 'a line like no other: ' + line)
                self.remedies[what] = match.group(1)
        wrong = [each for each in self.results.values() if each[0] == 'wrong']
        equal(status, 1 if wrong else 0, 'exit status')
        equal(self.lines[-1], 'All is well.' if not wrong else
              '1 thing is wrong.' if len(wrong) == 1 else '%d things are wrong.' % len(wrong),
              'the last line')

    def ok(self, *names):
        for name in names:
            equal(self.results.get(name, ('missing',))[0], 'ok', name)

    def wrong(self, name, detail, remedy):
        result, text = self.results.get(name, ('missing', ''))
        equal(result, 'wrong', name + ' in %s' % self.lines)
        check(re.search(detail, text), '%s: %s' % (name, text))
        if remedy is None:
            check(name not in self.remedies, 'a remedy for %s' % name)
        else:
            check(re.search(remedy, self.remedies.get(name, '')),
                  '%s: remedy %s' % (name, self.remedies.get(name)))

    def detail(self, name, result='ok'):
        equal(self.results.get(name, ('missing',))[0], result, name)
        return self.results[name][1]

    def missing(self, *names):
        for name in names:
            check(name not in self.results, name + ' is told of')

    def skipped(self, *names):
        for name in names:
            equal(self.results.get(name), ('-', 'not checked'), name)


def closed(bench):
    state = bench.sim.state()
    equal(state['adapters'][0]['discovering'], False, 'discovering')
    equal(bench.sim.seen('client-gone'), [], 'clients that left something behind')
    equal([b['connected'] for b in state['batteries']], [False] * len(state['batteries']), 'links')


# ---- well -------------------------------------------------------------------------------------

@test
def all_well(bench):
    """All is well: a line for each step, exit status 0, and nothing is left behind"""
    report = Report(with_sim(bench), 0)
    report.ok(*MACHINE, *('house: ' + step for step in STEPS), 'port')
    # What the policy allows is known when all has been tried.
    equal(list(report.results), [part for part in MACHINE if part != 'policy'] +
          ['house: ' + step for step in STEPS] + ['policy', 'port'], 'order')
    equal(report.detail('adapter'), 'hci0', 'adapter')
    check(re.fullmatch(r'-\d\d dBm', report.detail('house: range')), 'signal')
    check(re.fullmatch(r'\d+\.\d\d V, -?\d+\.\d\d A, \d+ %', report.detail('house: 03')), 'basics')
    check(re.fullmatch(r'\d+ cells, \d\.\d{3} V to \d\.\d{3} V', report.detail('house: 04')),
          report.detail('house: 04'))
    equal(report.detail('house: 05'), 'JBD-SP04S034-L8S-100A-B-U', 'model')
    closed(bench)


@test
def no_battery(bench):
    """Without a battery the machine and the port are checked"""
    report = Report(with_sim(bench, arguments=()), 0)
    report.ok(*MACHINE, 'port')
    check('--scan' in report.detail('battery', 'note'), 'no hint')
    equal(bench.sim.seen('discovery|connect'), [], 'radio')


@test
def several(bench):
    """One battery after the other, whatever is wrong with the first"""
    exporter = with_sim(bench, ADDRESS, ADDRESS2,
                        arguments=(ADDRESS + '=house', ADDRESS2 + '=other'),
                        commands=('fault %s wrong-services' % ADDRESS,))
    report = Report(exporter, 1)
    report.wrong('house: services', 'not a JBD board', '--scan')
    report.missing('house: notifications', 'house: 03')
    report.ok(*('other: ' + step for step in STEPS))
    closed(bench)


@test
def no_optional_registers(bench):
    """A board without 05 and AA is well"""
    report = Report(with_sim(bench, ADDRESS + ',no05,noaa'), 0)
    report.ok('house: 03', 'house: 04')
    check('not every board' in report.detail('house: 05', 'note'), 'model')
    check('not every board' in report.detail('house: AA', 'note'), 'counters')


@test
def hostile_model(bench):
    """What the board says is made harmless"""
    bench.start_bus()
    bench.start_sim(ADDRESS)
    # dd 05 00 len data: "a ESC [ 2 J", a byte that is no UTF-8, "b"
    data = b'a\x1b[2J\xffb'
    summed = (-(len(data) + sum(data))) & 0xffff
    frame = b'\xdd\x05\x00' + bytes([len(data)]) + data + summed.to_bytes(2, 'big') + b'\x77'
    bench.sim('frame %s 05 %s' % (ADDRESS, frame.hex()))
    report = Report(start(bench, ADDRESS + '=house'), 0)
    equal(report.detail('house: 05'), 'a\ufffd[2J\ufffdb', 'model')


# ---- the machine ------------------------------------------------------------------------------

def machine(name, part, detail, remedy, prepare):
    def function(bench):
        report = Report(prepare(bench), 1)
        i = MACHINE.index(part)
        report.ok(*MACHINE[:i], 'port')
        report.wrong(part, detail, remedy)
        report.skipped(*MACHINE[i + 1:], 'house')
        if bench.sim:
            bench.sim('bluez resume')
    function.__doc__ = 'the machine: ' + name
    test(function)


def nobody(bench):
    bench.start_bus()
    return start(bench, ADDRESS + '=house')


machine('no bus', 'bus', '^no D-Bus system bus$', 'sudo systemctl start dbus',
        lambda bench: start(bench, ADDRESS + '=house'))
machine('no bluetoothd', 'bluetoothd', '^bluetoothd is not running$',
        'sudo systemctl start bluetooth', nobody)
machine('a bluetoothd that hangs', 'bluetoothd', '^bluetoothd does not answer$',
        'sudo systemctl restart bluetooth',
        lambda bench: with_sim(bench, commands=('bluez hang',)))
machine('a policy that forbids it', 'policy', '^the D-Bus policy forbids', 'bluetooth.conf',
        lambda bench: with_sim(bench, rules='<deny send_destination="org.bluez"/>'))
machine('no adapter', 'adapter', '^no such Bluetooth adapter', 'plug|bluetoothctl list',
        lambda bench: with_sim(bench, commands=('adapter remove',)))
machine('another adapter', 'adapter', '^no such Bluetooth adapter', 'bluetoothctl list',
        lambda bench: with_sim(bench, arguments=('--adapter=hci7', ADDRESS + '=house')))
machine('adapter off', 'power', '^the Bluetooth adapter is off', 'bluetoothctl power on',
        lambda bench: with_sim(bench, commands=('adapter off',)))


def hanging_bus(bench):
    """A bus that takes connections and says nothing."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(bench.directory + '/bus')
    listener.listen()
    bench.silent = listener
    return start(bench, ADDRESS + '=house')


machine('a bus that hangs', 'bus', '^no D-Bus system bus$', 'start dbus', hanging_bus)


def rfkill(name, soft, hard, detail, remedy):
    def function(bench):
        bench.start_bus()
        bench.start_sim(ADDRESS)
        bench.sim('adapter off')
        # In a mount namespace of its own, with a /sys/class that says so.
        script = '''
            mount -t tmpfs none /sys/class && mkdir -p /sys/class/rfkill/rfkill0 &&
            cd /sys/class/rfkill/rfkill0 && echo bluetooth > type && echo hci0 > name &&
            echo %d > soft && echo %d > hard && cd / && exec "$@"''' % (soft, hard)
        inside = ['unshare', '--mount', '--map-root-user', 'sh', '-c', script, 'sh']
        if subprocess.run(inside + ['true'], capture_output=True).returncode:
            raise Skip('no mount namespaces here')
        child = subprocess.run(inside + WRAPPER + [EXPORTER, '--check'], capture_output=True,
                               env=bench.environment(), timeout=60)
        lines = child.stdout.decode().splitlines()
        equal(child.returncode, 1, 'exit status')
        i = next(i for i, line in enumerate(lines) if line.startswith('wrong  power: '))
        check(detail in lines[i], lines[i])
        check(remedy in lines[i + 1], lines[i + 1])
    function.__doc__ = 'rfkill: ' + name
    test(function)


rfkill('soft', 1, 0, 'blocked by software (rfkill)', 'try: sudo rfkill unblock bluetooth')
rfkill('hard', 1, 1, 'blocked by a switch of this machine (rfkill)', 'try: the switch or key')
rfkill('not blocked', 0, 0, 'switched off, not blocked', 'try: bluetoothctl power on')


# ---- the battery ------------------------------------------------------------------------------

def battery(name, step, detail, remedy, *commands, spec=ADDRESS):
    def function(bench):
        report = Report(with_sim(bench, spec, commands=commands), 1)
        i = STEPS.index(step)
        report.ok(*MACHINE, *('house: ' + each for each in STEPS[:i]), 'port')
        report.wrong('house: ' + step, detail, remedy)
        report.missing(*('house: ' + each for each in STEPS[i + 1:]))
        closed(bench)
    function.__doc__ = 'the battery: ' + name
    test(function)


FAULT = 'fault * '
battery('not in range', 'range', '^not found: out of range', 'close the phone app',
        spec=ADDRESS + ',absent')
battery('known and not in range', 'range', '^not found: out of range', 'close the phone app',
        spec=ADDRESS + ',known,absent')
battery('Connect is refused', 'connect', '^connecting failed: le-connection-abort-by-local$',
        'systemctl restart bluetooth',
        FAULT + 'connect-fail org.bluez.Error.Failed le-connection-abort-by-local')
battery('Connect hangs', 'connect', '^connecting took too long', 'close the phone app',
        FAULT + 'connect-hang')
battery('services do not come', 'services', 'its GATT services were not resolved',
        'bluetoothctl remove ' + ADDRESS, FAULT + 'resolve-never')
battery('other services', 'services', '^not a JBD board: services seen are 1800', '--scan',
        FAULT + 'wrong-services')
battery('StartNotify fails', 'notifications', '^notifications could not be switched on: no$',
        'bluetoothctl remove ' + ADDRESS, FAULT + 'notify-fail org.bluez.Error.Failed no')
battery('silence', '03', '^connected but silent', 'wake', FAULT + 'silent')
battery('an echo', '03', 'wants to be paired', 'six digits', FAULT + 'echo')
battery('noise', '03', 'corrupted', 'inverter', FAULT + 'corrupt')
battery('a refusal', '03', 'refuses', 'close the phone app', FAULT + 'error-status 81 03')
battery('a refusal of 04 only', '04', 'refuses', 'close the phone app',
        FAULT + 'error-status 81 04')
battery('noise instead of 04 only', '04', 'corrupted', 'inverter', 'frame %s 04 dd0400020cf8000077' % ADDRESS)
battery('the link drops before an answer', '03', 'the connection broke', 'closer',
        FAULT + 'silent', FAULT + 'drop-every 1')
battery('writing fails', '03', '^writing failed: no$', None,
        FAULT + 'write-fail org.bluez.Error.Failed no')


def forbidden(member, interface, step, failed, spec=ADDRESS):
    """The bus' own policy: the call does not reach the stand-in."""
    def function(bench):
        rule = ('<deny send_destination="org.bluez" send_interface="org.bluez.%s" '
                'send_member="%s"/>' % (interface, member))
        report = Report(with_sim(bench, spec, ADDRESS2, rules=rule,
                                 arguments=(ADDRESS + '=house', ADDRESS2 + '=other')), 1)
        i = STEPS.index(step)
        report.ok('bus', 'bluetoothd', 'adapter', 'power', 'port',
                  *('house: ' + each for each in STEPS[:i]))
        report.wrong('policy', '^the D-Bus policy forbids talking to bluetoothd: %s: ' % failed,
                     'container')
        report.skipped('house: ' + step, 'other')
        report.missing(*('house: ' + each for each in STEPS[i + 1:]))
    function.__doc__ = 'the bus forbids %s: the policy is wrong, not the battery' % member
    test(function)


forbidden('StartDiscovery', 'Adapter1', 'range', 'discovery could not be started')
forbidden('Connect', 'Device1', 'connect', 'connecting failed')
forbidden('StartNotify', 'GattCharacteristic1', 'notifications',
          'notifications could not be switched on')
forbidden('WriteValue', 'GattCharacteristic1', '03', 'writing failed')


def passwords(bench, text):
    path = bench.directory + '/passwords'
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), 'w') as file:
        file.write(text)
    return '--battery.password-file=' + path


@test
def password(bench):
    """A board that wants a password is unlocked with the one from the file"""
    exporter = with_sim(bench, ADDRESS + ',password=123456',
                        arguments=(passwords(bench, '123456\n'), ADDRESS + '=house'))
    Report(exporter, 0).ok('house: 03', 'house: 04')


@test
def no_password(bench):
    """A board that wants a password, and none is known"""
    report = Report(with_sim(bench, ADDRESS + ',password=123456'), 1)
    report.wrong('house: 03', 'wants a password', '--battery.password-file')


@test
def wrong_password_file(bench):
    """Passwords that cannot be read are told of, and the rest is checked"""
    report = Report(with_sim(bench, arguments=('--battery.password-file=/nonexistent',
                                               ADDRESS + '=house')), 1)
    report.wrong('passwords', 'nonexistent', None)
    report.ok('house: 03', 'house: 04', 'port')


@test
def other_protocol(bench):
    """A board that speaks another protocol is told as such, not only as silent"""
    report = Report(with_sim(bench, ADDRESS + ',name=JBD-UP16S015',
                             commands=(FAULT + 'silent',)), 1)
    check('UP16S: speaks another protocol' in report.detail('house: make', 'note'), 'make')
    report.wrong('house: 03', 'silent', 'wake')


@test
def second_attempt(bench):
    """A Connect that is refused once is nothing but a note"""
    exporter = with_sim(bench, commands=(
        FAULT + 'connect-fail org.bluez.Error.Failed le-connection-abort-by-local 1',))
    equal(exporter.end(), 0, 'exit status')
    text = exporter.output.decode()
    check('note   house: connect: it took a second attempt: connecting failed: le-conn' in text, text)
    check('ok     house: 04: ' in text and text.endswith('All is well.\n'), text)


def beside_service(bench, *arguments, address=ADDRESS + '=house'):
    listen = '127.0.0.1:%d' % bench.exporter.port
    return start(bench, '--web.listen-address=' + listen, address, *arguments), listen


@test
def beside_healthy_service(bench):
    """A battery that the running service reads is well, and keeps its link"""
    bench.up(ADDRESS + '=the bank')
    running = bench.exporter
    running.fresh()
    exporter, listen = beside_service(bench)
    report = Report(exporter, 0)
    report.ok(*MACHINE)
    equal(report.detail('house', 'note'), 'read by the bms-exporter that serves on %s; stop it to '
          'have each step checked' % listen, 'battery')
    equal(report.detail('port', 'note'), listen + ': a bms-exporter serves there already', 'port')
    report.missing('house: range')
    equal(running.metrics()('bms_up'), 1, 'bms_up')
    equal(bench.sim.battery()['links'], 1, 'links')


@test
def beside_failing_service(bench):
    """A battery that the running service holds and does not read is wrong"""
    bench.start_bus()
    bench.start_sim(ADDRESS)
    bench.sim(FAULT + 'silent', 'set latency 0.01')
    running = bench.start('--poll.interval=30', '--link=keep')
    bench.sim.until('request')
    exporter, listen = beside_service(bench)
    report = Report(exporter, 1)
    check(report.detail('house', 'note').startswith(
        'not read by the bms-exporter that serves on ' + listen), 'note')
    report.wrong('house: range', 'connected already', 'stop bms-exporter')
    equal(bench.sim.battery()['connected'], True, 'connected')
    check(running.metrics()('bms_up') == 0, 'bms_up')


@test
def beside_service_of_another(bench):
    """A battery that the running service does not know is checked"""
    bench.up(battery=ADDRESS + ',steady')
    bench.exporter.fresh()
    exporter, _ = beside_service(bench, address=ADDRESS2 + '=house')
    report = Report(exporter, 1)
    report.missing('house')
    report.wrong('house: range', 'not found', 'phone app')


@test
def connected_already(bench):
    """A battery that a program elsewhere reads keeps its link"""
    bench.up()
    running = bench.exporter
    running.fresh()
    report = Report(start(bench, ADDRESS + '=house'), 1)
    report.ok(*MACHINE)
    report.wrong('house: range', 'connected already, by a program on this machine',
                 'sudo systemctl stop bms-exporter; .* disconnect ' + ADDRESS)
    report.missing('house: connect')
    equal(running.metrics()('bms_up'), 1, 'bms_up')
    equal(bench.sim.battery()['links'], 1, 'links')


@test
def adapter_pulled(bench):
    """The adapter is pulled: the step that it hits is wrong, the next battery is not checked"""
    exporter = with_sim(bench, ADDRESS, ADDRESS2,
                        arguments=(ADDRESS + '=house', ADDRESS2 + '=other'),
                        commands=(FAULT + 'resolve-never',))
    bench.sim.until('connected')
    bench.sim('adapter remove')
    report = Report(exporter, 1)
    report.ok(*MACHINE, 'house: range', 'house: connect', 'port')
    report.wrong('house: services', 'adapter', 'bluetoothctl')
    report.skipped('other')


@test
def adapter_pulled_while_scanning(bench):
    """The adapter is pulled while the battery is looked for"""
    exporter = with_sim(bench, ADDRESS + ',absent')
    bench.sim.until('discovery on')
    bench.sim('adapter remove')
    report = Report(exporter, 1)
    report.wrong('house: range', 'adapter', 'bluetoothctl')
    report.ok('port')


# ---- the port ---------------------------------------------------------------------------------

@test
def port_taken(bench):
    """Another program has the port, and another address cannot be had"""
    with socket.create_server(('127.0.0.1', 0)) as server:
        address = '127.0.0.1:%d' % server.getsockname()[1]
        exporter = with_sim(bench, arguments=('--web.listen-address=' + address,
                                              '--web.listen-address=192.0.2.1:8000'))
        exporter.end()
    text = exporter.output.decode()
    check('wrong  port: %s: taken by another program\n       try: ' % address in text, text)
    check('wrong  port: "192.0.2.1:8000": no interface of this machine has the address' in text, text)
    check(text.endswith('2 things are wrong.\n'), text)


@test
def port_of_ours(bench):
    """An exporter that is running is known by what it serves"""
    bench.up()
    address = '127.0.0.1:%d' % bench.exporter.port
    report = Report(start(bench, '--web.listen-address=' + address), 0)
    equal(report.detail('port', 'note'), address + ': a bms-exporter serves there already', 'port')


# ---- its end ----------------------------------------------------------------------------------

@test
def interrupted_while_scanning(bench):
    """SIGINT while it looks for a battery: the discovery is stopped"""
    exporter = with_sim(bench, ADDRESS + ',absent')
    bench.sim.until('discovery on')
    equal(exporter.stop(signal.SIGINT), 130, 'exit status')
    bench.sim.until('discovery off')


@test
def interrupted_while_connected(bench):
    """SIGTERM while it is connected: the link is closed"""
    exporter = with_sim(bench, ADDRESS, commands=(FAULT + 'silent',))
    bench.sim.until('request')
    equal(exporter.stop(signal.SIGTERM), 143, 'exit status')
    closed(bench)


def hangup_while(name, event, spec, *commands):
    """A session that drops sends it twice: from the kernel and from the shell."""
    def function(bench):
        exporter = with_sim(bench, spec, commands=commands)
        bench.sim.until(event)
        exporter.signal(signal.SIGHUP)
        equal(exporter.stop(signal.SIGHUP), 129, 'exit status')
        closed(bench)
    function.__doc__ = 'SIGHUP while it %s: all is closed' % name
    test(function)


hangup_while('looks for a battery', 'discovery on', ADDRESS + ',absent')
hangup_while('connects', 'connect ', ADDRESS, FAULT + 'connect-hang')
hangup_while('asks', 'request', ADDRESS, FAULT + 'silent')


@test
def meaningless_signals(bench):
    """SIGUSR1 and SIGUSR2 do nothing"""
    exporter = with_sim(bench)
    for event in ('discovery on', 'connected'):
        bench.sim.until(event)
        exporter.signal(signal.SIGUSR1)
        exporter.signal(signal.SIGUSR2)
    Report(exporter, 0).ok('house: 04')


@test
def reader_gone(bench):
    """A reader that goes away ends it, with the link closed"""
    bench.start_bus()
    bench.start_sim(ADDRESS)
    reader, writer = os.pipe()
    os.close(reader)
    child = subprocess.run(WRAPPER + [EXPORTER, '--check', ADDRESS], stdout=writer,
                           stderr=subprocess.PIPE, env=bench.environment())
    os.close(writer)
    equal(child.returncode, 1, 'exit status')
    check(b'cannot write to standard output: Broken pipe' in child.stderr, child.stderr)
    closed(bench)


run(Bench)
