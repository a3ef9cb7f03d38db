#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""
The program under the system call filter and the privileges of bms-exporter.service: nothing that it
does is refused. Of what is mounted, only the read-only file system is imitated.
"""
import os
import re
import signal
import socket
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

from harness import ADDRESS, ROOT, Bench, check, equal
from readings import TRUE_BOARD, TRUTH, set_truth
from sandbox import read_unit
from tap import Skip, run, test

UNIT = ROOT + '/systemd/bms-exporter.service.in'
RECOVER = ROOT + '/contrib/systemd/bms-exporter-recover.'
SANDBOX = ['/usr/bin/python3', '-I', ROOT + '/tests/integration/sandbox.py', UNIT]
if os.getuid() == 0:  # others have no privileges to lose
    SANDBOX = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--no-new-privs',
               '--'] + SANDBOX
# GLib probes whether it may set the scheduling of a thread, and works without.
HARMLESS = {'sched_setattr'}
# The first argument becomes read-only except the second, as ProtectSystem=strict leaves it.
READ_ONLY = ['unshare', '--mount', 'sh', '-c', '''
    mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && mount --bind "$1" "$1" &&
    mount -o remount,bind,rw "$1" && shift && exec "$@"''']


def sandboxed(bench, *arguments, without=(), outside=(), **settings):
    """outside is a wrapper that still has its privileges."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + ',known')
    set_truth(bench.sim)
    wrapper = list(outside) + SANDBOX + ['-' + name for name in without]
    return bench.start(*arguments, wrapper=wrapper, **settings)


def refusals(exporter):
    """Names of the system calls that were refused, and that something may lack."""
    found = re.findall(r'^==sandbox== refused (\w+)', '\n'.join(exporter.lines), re.MULTILINE)
    return sorted(set(found) - HARMLESS)


def check_refusals(exporter):
    equal(refusals(exporter), [], 'system calls that were refused')


@test
def poll_and_serve(bench):
    """Polls, scrapes, the page, a reload, a release, watchdog and stop are not refused anything"""
    notify = bench.notify_socket()
    exporter = sandboxed(bench, '--poll.interval=500ms', '--link.release-time=1s',
                         '--session.renew=2s',
                         env={'NOTIFY_SOCKET': notify.path, 'WATCHDOG_USEC': '400000'})
    metrics = exporter.fresh()
    TRUTH.check(metrics)
    check(metrics('process_open_fds') > 0, 'process_open_fds')
    equal(exporter.get('/').status, 200, '/')
    notify.until('WATCHDOG=1')
    exporter.until(lambda m: m('bms_link_sessions_total', reason='renewal') > 0, 'a renewal')
    exporter.signal(signal.SIGHUP)
    exporter.logged('options were read again')
    exporter.signal(signal.SIGUSR1)
    exporter.until(lambda m: m('bms_connected') == 0, 'the release')
    exporter.until(lambda m: m('bms_connected') == 1, 'its end')
    bench.sim('bluez die')
    exporter.logged('bluetoothd is not running')
    bench.sim('bluez start')
    exporter.fresh()
    equal(exporter.stop(), 0, 'exit status')
    check_refusals(exporter)


def refuse_connections(bench):
    bench.sim('fault * connect-fail org.bluez.Error.Failed le-connection-abort-by-local')


@test
def recovery(bench):
    """A power cycle and the command of the recipe are not refused anything"""
    witness = os.path.join(bench.directory, 'recover')
    exporter = sandboxed(bench, '--poll.interval=500ms', '--recover.power-cycle',
                         '--recover.command=touch ' + witness)
    refuse_connections(bench)
    exporter.logged('touch ended successfully')
    check(os.path.exists(witness), 'no file')
    equal(len(bench.sim.seen('powered on')), 1, 'power cycles')
    bench.sim('clear *')
    exporter.fresh()
    equal(exporter.stop(), 0, 'exit status')
    check_refusals(exporter)


def recover_with(bench, name, end):
    """Runs touch on a file of that name where only the runtime directory can be written to."""
    directory = os.path.join(bench.directory, 'run')
    os.mkdir(directory)
    outside = READ_ONLY + [bench.directory, directory]
    if subprocess.run(outside + ['true'], capture_output=True).returncode:
        raise Skip('no mount namespaces here')
    witness = os.path.join(bench.directory, name)
    exporter = sandboxed(bench, '--poll.interval=500ms', '--recover.command=touch ' + witness,
                         outside=outside)
    refuse_connections(bench)
    exporter.logged('touch ended ' + end)
    return os.path.exists(witness)


@test
def runtime_directory(bench):
    """The command of the recipe can write to the runtime directory"""
    check(recover_with(bench, 'run/recover', 'successfully'), 'no file')


@test
def read_only(bench):
    """A command cannot write elsewhere, and that is logged"""
    check(not recover_with(bench, 'recover', 'with status 1'), 'a file where there can be none')


@test
def recipe(bench):
    """Units, manual and README name the same file, in the unit's runtime directory"""
    path = read_unit(RECOVER + 'path', 'Path')['PathExists'][0]
    equal(os.path.dirname(path), '/run/' + read_unit(UNIT)['RuntimeDirectory'][0], 'directory')
    equal(read_unit(RECOVER + 'service')['ExecStart'],
          ['/bin/rm -f ' + path, '/bin/systemctl restart bluetooth.service'], 'commands')
    for name in ('README.md', 'doc/bms-exporter.1', 'contrib/systemd/bms-exporter-recover.path'):
        with open(os.path.join(ROOT, name)) as file:
            text = file.read().replace('\\-', '-')
        check('--recover.command=touch ' + path in text, 'not in ' + name)


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as probe:
        return probe.getsockname()[1]


@test
def modes(bench):
    """--once, --check and --scan are not refused anything"""
    exporter = sandboxed(bench, '--once', hand_over=False)
    equal(exporter.end(), 0, 'exit status of --once')
    check_refusals(exporter)
    address = '--web.listen-address=localhost:%d' % free_port()
    for arguments in (['--check', address, ADDRESS], ['--scan=1s']):
        exporter = bench.start(*arguments, wrapper=SANDBOX, hand_over=False)
        exporter.end()
        check(re.search(ADDRESS.encode(), exporter.output), 'not found by %s' % arguments)
        equal(exporter.status(), 0, 'exit status of %s' % arguments)
        check_refusals(exporter)


@test
def own_socket(bench):
    """Listening on an address of the command line is not refused anything"""
    port = free_port()
    exporter = sandboxed(bench, '--web.listen-address=127.0.0.1:%d' % port, hand_over=False)
    exporter.port = port
    exporter.logged('first readings')
    TRUTH.check(exporter.fresh())
    equal(exporter.stop(), 0, 'exit status')
    check_refusals(exporter)


def lacks(name, *arguments):
    """So that the tests above are known to fail where the filter lacks something."""
    def function(bench):
        exporter = sandboxed(bench, *arguments, without=[name], hand_over=False)
        exporter.end()
        equal(refusals(exporter), [name], 'refused')
    function.__doc__ = 'A filter without %s is noticed' % name
    test(function)


lacks('sendmsg', '--once')
lacks('connect', '--once')
lacks('eventfd2', '--once')


@test
def restrictions(bench):
    """What the unit denies is denied: other address families, namespaces, code that was written"""
    script = '''
import ctypes, errno, mmap, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def tried(result):
    return errno.errorcode[ctypes.get_errno()] if result < 0 else "done"
def attempt(function, *arguments):
    try:
        function(*arguments)
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]
print(attempt(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW),
      attempt(socket.socket, socket.AF_BLUETOOTH if hasattr(socket, "AF_BLUETOOTH") else 31, 3),
      attempt(socket.socket, socket.AF_INET6, socket.SOCK_STREAM),
      attempt(mmap.mmap, -1, 4096, mmap.MAP_PRIVATE, 7), attempt(mmap.mmap, -1, 4096),
      tried(libc.unshare(0x20000)), tried(libc.personality(8)), attempt(os.setpriority, 0, 0, 5),
      attempt(os.chroot, "/"))
'''
    exporter = bench.start('/dev/null', wrapper=SANDBOX + ['/usr/bin/python3', '-c', script],
                           hand_over=False)
    exporter.end()
    equal(exporter.output.split(), b'EAFNOSUPPORT EAFNOSUPPORT done EPERM done EPERM EPERM EPERM '
          b'EPERM'.split(), 'what came of it: %s' % exporter.lines)


run(Bench)
