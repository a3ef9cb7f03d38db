#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""--once: one poll, the metrics on standard output, the reason on standard error."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

import pty
import signal
import subprocess
import termios

from harness import ADDRESS, ADDRESS2, EXPORTER, SLOWDOWN, WRAPPER, Bench, Metrics, check, equal
from readings import TRUE_BOARD, TRUTH, set_truth
from tap import run, test


def once(bench, *arguments, **settings):
    return bench.start('--once', *arguments, hand_over=False, **settings)


def sim(bench, *batteries, **settings):
    bench.start_bus()
    bench.start_sim(*(batteries or [ADDRESS + TRUE_BOARD]), **settings)
    if not batteries:
        set_truth(bench.sim)


def check_failure(exporter, reason, status=1, **settings):
    equal(exporter.end(**settings), status, 'exit status')
    equal(exporter.output, b'', 'standard output')
    lines = [line for line in exporter.log if 'no readings: ' in line]
    equal(len(lines), 1, 'lines with a reason among %s' % exporter.log)
    check(reason in lines[0], lines[0])


@test
def success(bench):
    """One good poll: exit status 0, all of the metrics, and the link is closed."""
    sim(bench)
    exporter = once(bench)
    equal(exporter.end(), 0, 'exit status')
    metrics = Metrics(exporter.output.decode())
    TRUTH.check(metrics)
    equal(metrics('bms_up'), 1, 'bms_up')
    equal(metrics.labels('bms_info')['model'], 'JBD-SP04S034-L8S-100A-B-U', 'model')
    equal(metrics('bms_protection_events_total', protection='cell_overvoltage'), 14, 'counters')
    equal([line for line in exporter.log if 'warning' in line or 'error' in line], [], 'warnings')
    equal(bench.sim.battery()['connected'], False, 'the link is up')


@test
def closed_output(bench):
    """Without a standard output it fails, and says so."""
    sim(bench)
    exporter = once(bench, wrapper=['sh', '-c', 'exec "$@" >&-', 'sh'])
    equal(exporter.end(), 1, 'exit status')
    exporter.logged('cannot write to standard output: ')


HARMFUL = 'JBD\u202eDOCTOR\u200b'


@test
def harmful_text_in_a_pipe(bench):
    """A pipe gets the metrics as they are."""
    sim(bench, ADDRESS + ',steady')
    bench.sim('set * model ' + HARMFUL)
    exporter = once(bench)
    equal(exporter.end(), 0, 'exit status')
    equal(Metrics(exporter.output.decode()).labels('bms_info')['model'], HARMFUL, 'model')


@test
def harmful_text_on_a_terminal(bench):
    """What turns text round or hides is replaced on a terminal, and nothing else is."""
    sim(bench, ADDRESS + ',steady')
    bench.sim('set * model ' + HARMFUL)
    master, slave = pty.openpty()
    settings = termios.tcgetattr(slave)
    settings[1] &= ~termios.OPOST  # or each newline becomes two characters
    termios.tcsetattr(slave, termios.TCSANOW, settings)
    exporter = once(bench, ADDRESS + '=Haus ü', wrapper=['sh', '-c', 'exec "$@" >"$0"',
                                                        os.ttyname(slave)])
    output = b''
    # It is written while it is read: a terminal holds less than all of it.
    while b'# TYPE bms_voltage' not in output or not output.endswith(b'\n'):
        output += os.read(master, 65536)
    equal(exporter.end(), 0, 'exit status')
    os.close(slave)
    try:
        output += os.read(master, 65536)
    except OSError:
        pass  # nobody has it open any more
    os.close(master)
    metrics = Metrics(output.decode())
    equal(metrics.labels('bms_info')['model'], 'JBD\ufffdDOCTOR\ufffd', 'model')
    equal(metrics.labels('bms_info')['battery'], 'Haus ü', 'name')


@test
def two_batteries(bench):
    """It waits for all batteries."""
    sim(bench, ADDRESS, ADDRESS2)
    exporter = once(bench, ADDRESS, ADDRESS2)
    equal(exporter.end(), 0, 'exit status')
    equal(list(Metrics(exporter.output.decode()).all('bms_up').values()), [1, 1], 'bms_up')


@test
def after_a_lost_answer(bench):
    """It has patience with a board that loses requests."""
    sim(bench)
    bench.sim('fault * no-answer 2')
    exporter = once(bench)
    equal(exporter.end(), 0, 'exit status')
    TRUTH.check(Metrics(exporter.output.decode()))


@test
def after_a_refused_connect(bench):
    """It has patience with a Connect that fails now and then."""
    sim(bench)
    bench.sim('fault * connect-fail org.bluez.Error.Failed le-connection-abort-by-local 1')
    exporter = once(bench)
    equal(exporter.end(), 0, 'exit status')
    TRUTH.check(Metrics(exporter.output.decode()))


@test
def no_bus(bench):
    """No bus: exit status 1 and the reason."""
    check_failure(once(bench), 'no D-Bus system bus')


@test
def no_bluetoothd(bench):
    """No bluetoothd: exit status 1 and the reason."""
    bench.start_bus()
    check_failure(once(bench), 'bluetoothd is not running')


@test
def denied(bench):
    """A bus that forbids talking to bluetoothd: exit status 1 and the reason."""
    bench.start_bus('<deny send_destination="org.bluez"/>')
    bench.start_sim(ADDRESS)
    check_failure(once(bench), 'the D-Bus policy forbids talking to bluetoothd')


@test
def hanging(bench):
    """A bluetoothd that hangs: exit status 1 and the reason."""
    sim(bench)
    bench.sim('bluez hang')
    check_failure(once(bench), 'bluetoothd does not answer')
    bench.sim('bluez resume')


@test
def no_adapter(bench):
    """No adapter: exit status 1 and the reason."""
    sim(bench)
    bench.sim('adapter remove')
    check_failure(once(bench), 'no such Bluetooth adapter')


@test
def other_adapter(bench):
    """Not the adapter that was asked for: exit status 1 and the reason."""
    sim(bench)
    check_failure(once(bench, '--adapter=hci3'), 'no such Bluetooth adapter')


@test
def adapter_off(bench):
    """Adapter off: exit status 1 and the reason."""
    sim(bench)
    bench.sim('adapter off')
    check_failure(once(bench), 'adapter is off')


@test
def wrong_services(bench):
    """Not a JBD board: exit status 1 and the reason."""
    sim(bench)
    bench.sim('fault * wrong-services')
    check_failure(once(bench), 'not a JBD board')


@test
def one_of_two(bench):
    """Only the battery that failed is complained about."""
    sim(bench, ADDRESS, ADDRESS2)
    bench.sim('fault %s wrong-services' % ADDRESS2)
    exporter = once(bench, ADDRESS2 + '=second', ADDRESS + '=first')
    equal(exporter.end(), 1, 'exit status')
    equal(exporter.output, b'', 'standard output')
    check(exporter.count_log('second: no readings: not a JBD board') == 1, 'no reason')


def ended_by(number, name, event, spec, *commands):
    def function(bench):
        bench.start_bus()
        bench.start_sim(spec)
        bench.sim(*commands, 'ping')
        exporter = once(bench)
        bench.sim.until(event)
        exporter.signal(number)
        if number == signal.SIGHUP:
            exporter.signal(number)  # the kernel and the shell both send it
        equal(exporter.end(), 128 + number, 'exit status')
        equal(exporter.output, b'', 'standard output')
        bench.sim.until('discovery off')
        battery = bench.sim.battery()
        equal((battery['connected'], battery['sessions']), (False, 0), 'link and notify sessions')
    function.__doc__ = '%s while it %s: all is closed, nothing is printed.' % (number.name, name)
    test(function)


for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    ended_by(each, 'looks for a battery', 'discovery on', ADDRESS + ',absent')
    ended_by(each, 'asks', 'request', ADDRESS, 'fault * silent')


@test
def hangup_behind_the_readings(bench):
    """SIGHUP once the readings are printed: the link is closed before the end."""
    sim(bench)
    bench.sim('set disconnect-time 1')
    exporter = once(bench)
    bench.sim.until('disconnect ')
    equal(exporter.stop(signal.SIGHUP), 0, 'exit status')
    TRUTH.check(Metrics(exporter.output.decode()))
    equal(bench.sim.battery()['connected'], False, 'the link is up')


@test
def meaningless_signals(bench):
    """SIGUSR1 and SIGUSR2 do nothing."""
    sim(bench)
    bench.sim('fault * no-answer 2')
    exporter = once(bench)
    for event in ('connect ', 'request'):
        bench.sim.until(event)
        exporter.signal(signal.SIGUSR1)
        exporter.signal(signal.SIGUSR2)
    equal(exporter.end(), 0, 'exit status')


@test
def nohup(bench):
    """What was started to survive a hangup survives it."""
    sim(bench)
    bench.sim('fault * no-answer 2')
    child = subprocess.Popen(WRAPPER + ['nohup', EXPORTER, '--once', ADDRESS],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, env=bench.environment())
    bench.sim.until('request')
    child.send_signal(signal.SIGHUP)
    output, _ = child.communicate(timeout=60 * SLOWDOWN)
    equal(child.returncode, 0, 'exit status')
    TRUTH.check(Metrics(output.decode()))


@test
def no_socket_taken(bench):
    """It needs no port."""
    sim(bench)
    other = bench.start('--poll.interval=10', ADDRESS)
    equal(other.get('/-/healthy').status, 200, '/-/healthy')
    other.stop()
    exporter = once(bench, '--web.listen-address=127.0.0.1:%d' % other.port)
    equal(exporter.end(), 0, 'exit status')


@test
def away(bench):
    """A battery that is away: after its time exit status 1 and the reason."""
    sim(bench, ADDRESS + ',absent')
    check_failure(once(bench), 'not found', limit=90)


run(Bench)
