#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""Boards that let only those in who know a password or a passkey, and the file that has them."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

import re
import signal
import subprocess

from harness import ADDRESS, ADDRESS2, ADDRESS3, Bench, check, equal
from readings import TRUE_BOARD, TRUTH, set_truth, true_board
from tap import run, test

# Not to be found anywhere in what the program says.
SECRET = 'q8#Z!x'
PASSKEY = '048213'


def write(bench, text, name='passwords', mode=0o600):
    path = bench.directory + '/' + name
    with open(path, 'wb') as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    os.chmod(path, mode)
    return '--battery.password-file=' + path


def unsaid(exporter, *secrets):
    """Checks that no secret is in the log, the page, the metrics or the process' arguments."""
    with open('/proc/%d/cmdline' % exporter.child.pid, 'rb') as file:
        said = [file.read().decode()]
    said += exporter.log + [exporter.get(path).text for path in ('/', '/metrics')]
    for secret in secrets:
        check(not [text for text in said if secret in text], 'a secret was told: %s' % secret)


# ---- the password -------------------------------------------------------------------------------


@test
def unlocks(bench):
    """A board with a password is read in every session, and the password is told to nobody."""
    notify = bench.notify_socket()
    exporter = true_board(bench, write(bench, '# the house\n' + SECRET + '\n'),
                          '--session.renew=1', '--log.level=debug', more=',password=' + SECRET,
                          env={'NOTIFY_SOCKET': notify.path})
    TRUTH.check(exporter.until(lambda m: m('bms_up') == 1 and
                               m('bms_link_sessions_total', reason='renewal') >= 3, 'renewals'))
    battery = bench.sim.battery()
    equal(battery['wrong-passwords'], 0, 'wrong passwords')
    check(battery['passwords'] >= 3, 'passwords: %d' % battery['passwords'])
    unsaid(exporter, SECRET)
    check(not [m for m in notify.messages if SECRET in m], 'told to the service manager')


@test
def wanted(bench):
    """A board whose password is not known is told of as such."""
    notify = bench.notify_socket()
    exporter = true_board(bench, more=',password=' + SECRET, env={'NOTIFY_SOCKET': notify.path})
    exporter.logged('warning: .* it wants a password, and none is known for it')
    notify.until('STATUS=.*it wants a password')
    metrics = exporter.until(lambda m: m.sum('bms_link_sessions_total') >= 2, 'another try')
    equal(metrics('bms_up'), 0, 'bms_up')
    equal(exporter.count_log('silent'), 0, 'lines that it is silent')
    check('it wants a password' in exporter.get('/').text, 'not on the page')
    equal(bench.sim.battery()['passwords'], 0, 'passwords')


@test
def wrong(bench):
    """A wrong password is sent once; the right one as soon as the file is read again."""
    option = write(bench, '654321')
    exporter = true_board(bench, option, more=',password=' + SECRET)
    exporter.logged('warning: .* it refuses the password')
    exporter.until(lambda m: m.sum('bms_link_sessions_total') >= 3, 'other tries')
    battery = bench.sim.battery()
    equal((battery['passwords'], battery['wrong-passwords']), (1, 1), 'passwords')
    equal(exporter.count_log('it wants a password|silent'), 0, 'other complaints')
    unsaid(exporter, '654321')
    write(bench, SECRET)
    exporter.signal(signal.SIGHUP)
    exporter.logged('were read again')
    TRUTH.check(exporter.fresh())
    equal(bench.sim.battery()['passwords'], 2, 'passwords')


@test
def bad_reload(bench):
    """A file that has become bad changes nothing."""
    option = write(bench, SECRET)
    exporter = true_board(bench, option, '--session.renew=1', more=',password=' + SECRET)
    exporter.fresh()
    write(bench, 'too long for a password\n')
    exporter.signal(signal.SIGHUP)
    exporter.logged('error: .*line 1 ')
    renewals = exporter.metrics()('bms_link_sessions_total', reason='renewal')
    exporter.until(lambda m: m('bms_up') == 1 and
                   m('bms_link_sessions_total', reason='renewal') >= renewals + 2, 'renewals')
    equal(bench.sim.battery()['wrong-passwords'], 0, 'wrong passwords')


@test
def several(bench):
    """Each battery is given its own password, and those without a line the common one."""
    option = write(bench, '  %s\t%s  \r\n\n# rest\n%s\n' % (ADDRESS.lower(), SECRET, '111111'))
    bench.start_bus()
    bench.start_sim(ADDRESS + ',password=' + SECRET, ADDRESS2 + ',password=111111', ADDRESS3)
    exporter = bench.start('--poll.interval=1', option, ADDRESS, ADDRESS2, ADDRESS3)
    exporter.fresh(3)
    for address, passwords in ((ADDRESS, 1), (ADDRESS2, 1), (ADDRESS3, 0)):
        battery = bench.sim.battery(address)
        equal((battery['passwords'], battery['wrong-passwords']), (passwords, 0), address)


@test
def set_later(bench):
    """A password that the owner sets is given from then on, and not missed when it is gone."""
    exporter = true_board(bench, write(bench, SECRET), '--session.renew=1')
    exporter.fresh()
    bench.sim('set * password ' + SECRET)
    at = bench.sim.mark()
    at = bench.sim.until('request .* 18 ', at)
    exporter.fresh()
    bench.sim('set * password -')
    for _ in range(2):
        at = bench.sim.until('disconnected .* local', at)
    TRUTH.check(exporter.fresh())
    equal(bench.sim.battery()['wrong-passwords'], 0, 'wrong passwords')


@test
def credential(bench):
    """The file may come from systemd as a credential."""
    os.mkdir(bench.directory + '/credentials')
    write(bench, SECRET, 'credentials/password', 0o400)
    exporter = true_board(bench, more=',password=' + SECRET,
                          env={'CREDENTIALS_DIRECTORY': bench.directory + '/credentials'})
    TRUTH.check(exporter.fresh())


@test
def no_credential(bench):
    """Credentials of other names do not matter."""
    os.mkdir(bench.directory + '/credentials')
    exporter = true_board(bench, env={'CREDENTIALS_DIRECTORY': bench.directory + '/credentials'})
    TRUTH.check(exporter.fresh())


@test
def once(bench):
    """--once ends as soon as the password is refused."""
    bench.start_bus()
    bench.start_sim(ADDRESS + ',password=' + SECRET)
    exporter = bench.start('--once', write(bench, '654321'), hand_over=False)
    equal(exporter.end(), 1, 'exit status')
    exporter.logged('error: .* no readings: it refuses the password')


# ---- the file -----------------------------------------------------------------------------------


@test
def readable_by_all(bench):
    """A file that everybody can read is warned of."""
    exporter = true_board(bench, write(bench, SECRET, mode=0o644), more=',password=' + SECRET)
    exporter.logged('warning: everybody can read the passwords in ')
    TRUTH.check(exporter.fresh())
    unsaid(exporter, SECRET)


def refused_file(name, text, pattern):
    @test
    def function(bench):
        bench.start_bus()
        exporter = bench.start(write(bench, text), hand_over=False)
        equal(exporter.end(), 2, 'exit status')
        equal(len(exporter.log), 1, 'lines')
        exporter.logged(pattern)
        equal(exporter.count_log('sesame|123456'), 0, 'lines with what stands in the file')
    function.__doc__ = 'A password file is refused, its content untold: ' + name


refused_file('too short a password', '12345\n', 'line 1 has no password of six characters')
refused_file('too long a password', '\n1234567\n', 'line 2 has no password of six characters')
refused_file('a third word', ADDRESS + ' 123456 sesame\n', 'line 1 has no password')
refused_file('a name instead of an address', 'sesame 123456\n', 'line 1 does not begin with a Bluet')
refused_file('the same battery twice', '%s 123456\n%s 654321' % (ADDRESS, ADDRESS.lower()),
             'line 2 is the second one for the same battery')
refused_file('two for all', '123456\nsesame', 'line 2 is the second one')
refused_file('no ASCII', 'ßßß\n', 'line 1 has no password')
refused_file('a NUL in it', b'123456\n\0', 'is not a text')
refused_file('too long', '123456\n' + '#\n' * 32766, 'is longer than 64 KiB')


def no_file(name, make, pattern):
    @test
    def function(bench):
        path = bench.directory + '/passwords'
        make(path)
        bench.start_bus()
        exporter = bench.start('--battery.password-file=' + path, hand_over=False)
        equal(exporter.end(), 2, 'exit status')
        equal(len(exporter.log), 1, 'lines')
        exporter.logged(pattern)
    function.__doc__ = 'What is no file ends the program at once: ' + name


no_file('nothing', lambda path: None, 'cannot be opened: No such file')
no_file('a directory', os.mkdir, 'is not a regular file')
no_file('a FIFO', os.mkfifo, 'is not a regular file')
no_file('a device', lambda path: os.symlink('/dev/zero', path), 'is not a regular file')


@test
def empty_file(bench):
    """A file with nothing but comments is as good as none."""
    exporter = true_board(bench, write(bench, '# later\n\n'))
    TRUTH.check(exporter.fresh())


# ---- pairing ------------------------------------------------------------------------------------


@test
def pairs(bench):
    """A board that wants to be paired is paired with its passkey, once and for all."""
    exporter = true_board(bench, write(bench, PASSKEY), '--session.renew=1', '--log.level=debug',
                          more=',passkey=' + PASSKEY)
    TRUTH.check(exporter.until(lambda m: m('bms_up') == 1 and
                               m('bms_link_sessions_total', reason='renewal') >= 2, 'renewals'))
    equal(len(bench.sim.seen('pair ')), 1, 'calls of Pair')
    battery = bench.sim.battery()
    equal((battery['paired'], battery['trusted']), (True, False), 'paired, trusted')
    equal(exporter.count_log('warning'), 0, 'warnings')
    unsaid(exporter, PASSKEY)


@test
def wants_pairing(bench):
    """A board that wants to be paired, and no passkey: that is told, and nothing is tried."""
    exporter = true_board(bench, more=',passkey=' + PASSKEY)
    exporter.logged('warning: .* it wants to be paired, and no passkey is known for it')
    equal(exporter.metrics()('bms_up'), 0, 'bms_up')
    equal(bench.sim.seen('pair '), [], 'calls of Pair')
    equal(bench.sim.seen('agent '), [], 'agents')


@test
def no_passkey(bench):
    """A password that is no passkey is not used as one."""
    exporter = true_board(bench, write(bench, SECRET), more=',passkey=' + PASSKEY)
    exporter.logged('warning: .* it wants to be paired, and no passkey is known for it')
    equal(bench.sim.seen('agent '), [], 'agents')


@test
def wrong_passkey(bench):
    """A wrong passkey is tried once; another one as soon as the file is read again."""
    option = write(bench, '111111')
    exporter = true_board(bench, option, more=',passkey=' + PASSKEY)
    exporter.logged('warning: .* pairing failed, .*: Authentication Failed')
    exporter.until(lambda m: m.sum('bms_link_sessions_total') >= 3, 'other tries')
    equal(len(bench.sim.seen('pair ')), 1, 'calls of Pair')
    equal(exporter.count_log('no passkey is known'), 0, 'other complaints')
    write(bench, PASSKEY)
    exporter.signal(signal.SIGHUP)
    TRUTH.check(exporter.fresh())
    equal(len(bench.sim.seen('pair ')), 2, 'calls of Pair')


@test
def paired_in_another_way(bench):
    """A pairing without the passkey, which is not enough, is told of and left alone."""
    exporter = true_board(bench, write(bench, PASSKEY), more=',passkey=' + PASSKEY)
    bench.sim("refuse Pair org.bluez.Error.AlreadyExists 'Already Exists'")
    exporter.logged('warning: .* it is paired with this machine, and still lets nobody read it')
    equal(bench.sim.seen('device-removed'), [], 'devices removed')
    # Somebody takes that pairing away.
    bench.sim("refuse Pair org.bluez.Error.AlreadyExists 'Already Exists' 0")
    TRUTH.check(exporter.fresh())


@test
def not_paired(bench):
    """A board that says by GATT that it wants to be paired is paired, too."""
    exporter = true_board(bench, write(bench, PASSKEY), more=',passkey=' + PASSKEY)
    bench.sim("fault * notify-fail org.bluez.Error.NotPermitted 'Not paired' 1")
    TRUTH.check(exporter.fresh())
    equal(len(bench.sim.seen('paired ')), 1, 'pairings')


@test
def away_while_pairing(bench):
    """A board that is away when it is to be paired is paired when it is back."""
    exporter = true_board(bench, write(bench, PASSKEY), more=',passkey=' + PASSKEY)
    bench.sim('set absent-timeout 0.2',
              "refuse Pair org.bluez.Error.ConnectionAttemptFailed 'Page Timeout' 2")
    exporter.logged('warning: .* connecting took too long: out of range')
    TRUTH.check(exporter.fresh())


def beside_an_absent_one(bench, passkey=PASSKEY):
    """A board that wants to be paired, and another battery that is away and asks for the radio."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + ',known,passkey=' + passkey, ADDRESS2 + ',known,absent')
    set_truth(bench.sim)
    return bench.start('--poll.interval=1', write(bench, PASSKEY), ADDRESS + '=first',
                       ADDRESS2 + '=second')


def missed(exporter, n):
    """Waits until the absent battery has missed n more polls, one a second."""
    def count(metrics):
        return metrics.sum('bms_poll_failures_total', battery='second')
    before = count(exporter.metrics())
    exporter.until(lambda m: count(m) >= before + n, '%d polls' % n, limit=60)


@test
def slow_pairing(bench):
    """A pairing that takes long is not cut short by another battery that waits for the radio."""
    exporter = beside_an_absent_one(bench)
    bench.sim('hold Pair')
    at = bench.sim.until('held Pair')
    missed(exporter, 14)
    equal(bench.sim.seen('disconnect ' + ADDRESS, at), [], 'what cuts the pairing short')
    bench.sim('release Pair')
    TRUTH.check(exporter.until(lambda m: m('bms_up', battery='first') == 1, 'readings'), 'first',
                legacy_label=True)
    equal(len(bench.sim.seen('pair ')), 1, 'calls of Pair')


@test
def pairing_in_vain(bench):
    """A pairing that comes to nothing is not begun again before the board has asked for it again."""
    exporter = true_board(bench, write(bench, PASSKEY), more=',known,passkey=' + PASSKEY)
    bench.sim('hold Pair', 'set absent-timeout 0.2')
    at = bench.sim.until('held Pair')
    bench.sim('absent *')
    at = bench.sim.until('disconnect ', at, limit=60)  # the bound of a pairing
    bench.sim.until('connect ', at)
    equal(bench.sim.seen('pair ', at), [], 'calls of Pair for a board that is away')
    bench.sim('release Pair')


@test
def agent_comes_back(bench):
    """The agent is registered anew with a bluetoothd that was started again."""
    exporter = true_board(bench, write(bench, PASSKEY), more=',passkey=' + PASSKEY)
    exporter.fresh()
    at = bench.sim.mark()
    bench.sim('bluez die', 'bluez start')
    at = bench.sim.until('agent on KeyboardOnly', at)
    bench.sim('forget *')  # and what the two had agreed on with it
    at = bench.sim.until('paired ', at)
    TRUTH.check(exporter.fresh())


@test
def agent_goes(bench):
    """The agent is taken back when no passkey is left."""
    exporter = true_board(bench, write(bench, PASSKEY))
    bench.sim.until('agent on')
    write(bench, '')
    exporter.signal(signal.SIGHUP)
    bench.sim.until('agent off')
    TRUTH.check(exporter.fresh())


@test
def agent_goes_with_its_battery(bench):
    """The agent is taken back when the battery whose passkey it has is taken out."""
    path = bench.directory + '/config'

    def configure(*batteries):
        write(bench, '[exporter]\npoll.interval = 1\n' +
              ''.join('[%s]\n' % each for each in batteries), 'config')
    option = write(bench, '%s %s\n' % (ADDRESS, PASSKEY))
    configure(ADDRESS, ADDRESS2)
    bench.start_bus()
    bench.start_sim(ADDRESS + ',known', ADDRESS2 + ',known')
    exporter = bench.start('--config=' + path, option)
    exporter.fresh(2)
    at = bench.sim.until('agent on')
    configure(ADDRESS2)
    exporter.signal(signal.SIGHUP)
    bench.sim.until('agent off', at)
    exporter.until(lambda m: len(m.all('bms_up')) == 1 and m.sum('bms_up') == 1, 'the other one')


def refused_agent(error, pattern, name):
    @test
    def function(bench):
        bench.start_bus()
        bench.start_sim(ADDRESS + TRUE_BOARD + ',known,passkey=' + PASSKEY)
        set_truth(bench.sim)
        bench.sim("refuse RegisterAgent %s 'not today'" % error)
        exporter = bench.start('--poll.interval=500ms', write(bench, PASSKEY))
        exporter.logged('warning: .*accepts no pairing agent: not today')
        # Without the agent bluetoothd would pair in another way, which nobody could undo.
        exporter.logged('warning: .*%s.*%s' % (ADDRESS, pattern))
        exporter.until(lambda m: m.sum('bms_link_sessions_total') >= 1, 'a session')
        equal(bench.sim.seen('pair '), [], 'calls of Pair')
        bench.sim("refuse RegisterAgent %s 'not today' 0" % error)
        TRUTH.check(exporter.fresh())
        equal(exporter.count_log('it is registered again'), 1, 'lines about the agent')
    function.__doc__ = 'An agent that bluetoothd refuses is registered again: ' + name


refused_agent('org.bluez.Error.Failed', 'accepts no pairing agent', 'by bluetoothd')
refused_agent('org.freedesktop.DBus.Error.AccessDenied', 'forbids talking', 'by the bus')


@test
def agent_refuses(bench):
    """The agent answers only while we pair, only for that device, and only bluetoothd."""
    exporter = true_board(bench, write(bench, PASSKEY), '--log.level=debug')
    exporter.fresh()
    bench.sim('ask-passkey ' + ADDRESS)
    bench.sim.until('asked %s org.bluez.Error.Rejected' % ADDRESS)
    device = '/org/bluez/hci0/dev_' + ADDRESS.replace(':', '_')
    gdbus = ['gdbus', 'call', '--address', 'unix:path=%s/bus' % bench.directory]

    def call(name, path, method, *arguments):
        return subprocess.run(gdbus + ['--dest', name, '--object-path', path, '--method', method] +
                              list(arguments), capture_output=True, text=True, check=False)

    names = call('org.freedesktop.DBus', '/', 'org.freedesktop.DBus.ListNames').stdout
    answers = [call(name, '/bms_exporter/agent', 'org.bluez.Agent1.RequestPasskey', device)
               for name in re.findall(r':\d+\.\d+', names)]
    equal([a.stdout for a in answers if a.returncode == 0], [], 'answers')
    check([a for a in answers if 'Rejected' in a.stderr], 'the agent was not found')


run(Bench)
