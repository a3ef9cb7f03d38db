#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""
sandbox.py UNIT [-NAME…] COMMAND…: runs a command under the system call filter of a service unit.

It implements SystemCallFilter=, RestrictAddressFamilies=, MemoryDenyWriteExecute=,
RestrictNamespaces= and LockPersonality= as systemd does, with libseccomp: a system call that systemd
knows and the unit does not allow fails with SystemCallErrorNumber=, one that systemd does not know
fails with ENOSYS. RestrictRealtime= needs no rule as long as the filter lacks sched_setscheduler.
NoNewPrivileges= comes with the filter. RestrictSUIDSGID= is not implemented.

Each refusal is logged on standard error: "==sandbox== refused NAME(ARGUMENTS)". -NAME takes one more
system call out of the filter.
"""
import ctypes
import errno
import fcntl
import os
import re
import signal
import socket
import struct
import subprocess
import sys

import seccomp
from seccomp import ALLOW, EQ, ERRNO, GT, LT, MASKED_EQ, NE, NOTIFY, Arg

PR_SET_PDEATHSIG = 1
# struct seccomp_notif with struct seccomp_data, struct seccomp_notif_resp, and their ioctls.
QUESTION = struct.Struct('QII iIQ 6Q')
ANSWER = struct.Struct('QqiI')
RECEIVE, SEND = 0xC0502100, 0xC0182101
PROT_WRITE, PROT_EXEC = 2, 4
NAMESPACES = (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)

# Settings of a unit that become rules below, each with the only value that is supported.
SWITCHES = {'MemoryDenyWriteExecute': 'yes', 'RestrictNamespaces': 'yes', 'LockPersonality': 'yes',
            'RestrictRealtime': 'yes', 'SystemCallArchitectures': 'native',
            'SystemCallErrorNumber': 'EPERM'}


def read_unit(path, wanted='Service'):
    """{key: [value, …]} of one section."""
    values = {}
    section = None
    with open(path) as file:
        for line in file:
            line = line.strip()
            if line.startswith('['):
                section = line
            elif section == '[%s]' % wanted and line and line[0] not in '#;':
                key, value = line.split('=', 1)
                values.setdefault(key, []).append(value)
    return values


def read_sets():
    """{'@name': {member, …}} as systemd has them."""
    sets = {}
    listing = subprocess.run(['systemd-analyze', '--no-pager', 'syscall-filter'], check=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    for line in re.sub('\x1b[^m]*m', '', listing).splitlines():
        if line.startswith('@'):
            members = sets.setdefault(line.strip(), set())
        elif line.startswith(' ') and not line.strip().startswith('#'):
            members.add(line.strip())
    return sets


def expand(sets, name):
    if not name.startswith('@'):
        return {name}
    return set().union(*(expand(sets, member) for member in sets[name]))


def allowed_by(unit, sets):
    """Names of the system calls that the unit allows."""
    allowed = None
    for line in unit['SystemCallFilter']:
        names = set().union(*(expand(sets, name) for name in line.lstrip('~').split()))
        if allowed is None:
            assert not line.startswith('~'), 'a list of what is denied'
            allowed = expand(sets, '@default') | names
        else:
            allowed = allowed - names if line.startswith('~') else allowed | names
    return allowed


def by_arguments(unit):
    """{name: [(action, condition), …]} where the arguments decide."""
    families = sorted(getattr(socket, name) for name in unit['RestrictAddressFamilies'][0].split())
    others = set(range(families[0], families[-1])) - set(families)
    write_exec = PROT_WRITE | PROT_EXEC
    all_namespaces = sum(NAMESPACES)

    def without_namespaces(argument):
        return ([(ALLOW, Arg(argument, MASKED_EQ, all_namespaces, 0))] +
                [(NOTIFY, Arg(argument, MASKED_EQ, each, each)) for each in NAMESPACES])

    return {
        'socket': [(ALLOW, Arg(0, EQ, family)) for family in families] +
                  [(NOTIFY, Arg(0, EQ, family)) for family in others] +
                  [(NOTIFY, Arg(0, LT, families[0])), (NOTIFY, Arg(0, GT, families[-1]))],
        'mmap': [(NOTIFY if prot == write_exec else ALLOW, Arg(2, MASKED_EQ, write_exec, prot))
                 for prot in (0, PROT_WRITE, PROT_EXEC, write_exec)],
        'mprotect': [(ALLOW, Arg(2, MASKED_EQ, PROT_EXEC, 0)),
                     (NOTIFY, Arg(2, MASKED_EQ, PROT_EXEC, PROT_EXEC))],
        'clone': without_namespaces(0),
        'unshare': without_namespaces(0),
        'personality': [(ALLOW, Arg(0, EQ, 0)), (NOTIFY, Arg(0, NE, 0))],
    }


def number_of(name):
    """Not seccomp.resolve_syscall(), which has no room for the number of an architecture."""
    return ctypes.CDLL('libseccomp.so.2').seccomp_syscall_resolve_name(name.encode())


def make_filter(unit, sets, without):
    for key, value in SWITCHES.items():
        assert unit[key] == [value], '%s=%s' % (key, unit[key])
    allowed = allowed_by(unit, sets) - {'clone3', 'setns', 'pkey_mprotect'} - set(without)
    assert 'sched_setscheduler' not in allowed, 'RestrictRealtime= would need rules of its own'
    known = expand(sets, '@known')
    unknown = set(without) - known
    assert not unknown, 'no system calls: %s' % unknown
    special = by_arguments(unit)
    rules = seccomp.SyscallFilter(ERRNO(errno.ENOSYS))
    for name in sorted(known - {'clone3'}):
        if number_of(name) < 0:
            continue  # another architecture's
        if name in special and name in allowed:
            for action, condition in special[name]:
                rules.add_rule(action, name, condition)
        else:
            rules.add_rule(ALLOW if name in allowed else NOTIFY, name)
    return rules


def supervise(listener, names):
    """
    Refuses each system call that the kernel asks about, and logs it. Ends with the process that it
    is for. It uses plain ioctls, since the library would call seccomp(2), which the filter refuses
    here too.
    """
    while True:
        question = bytearray(QUESTION.size)
        fcntl.ioctl(listener, RECEIVE, question)
        number, _, _, call, _, _, *arguments = QUESTION.unpack(question)
        name = names.get(call, call)
        text = '==sandbox== refused %s(%s)\n' % (name, ', '.join(hex(a) for a in arguments))
        os.write(2, text.encode())
        refusal = errno.EAFNOSUPPORT if name == 'socket' else errno.EPERM
        try:
            fcntl.ioctl(listener, SEND, ANSWER.pack(number, 0, -refusal, 0))
        except FileNotFoundError:
            pass  # a signal has ended the call


def main():
    path, *rest = sys.argv[1:]
    without = []
    while rest[0].startswith('-'):
        without.append(rest.pop(0)[1:])
    sets = read_sets()
    rules = make_filter(read_unit(path), sets, without)
    names = {number_of(name): name for name in expand(sets, '@known')}
    libc = ctypes.CDLL(None)
    rules.load()
    listener = rules.get_notify_fd()
    if os.fork() == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.closerange(3, listener)
        supervise(listener, names)
    os.close(listener)
    os.execvp(rest[0], rest)


if __name__ == '__main__':
    main()
