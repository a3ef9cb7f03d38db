# SPDX-License-Identifier: MIT
"""What a process costs, as the kernel, valgrind, strace, wrk and readelf tell it."""

import glob
import json
import os
import re
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def cpu_ns(pid):
    """User and system time of all threads, those that have ended too; not in clock ticks."""
    return int(time.clock_gettime_ns((~pid << 3) | 2))  # see MAKE_PROCESS_CPUCLOCK in the kernel


def switches(pid):
    """Context switches of all threads: (it slept and was woken, it was preempted)."""
    count = [0, 0]
    for path in glob.glob('/proc/%d/task/*/status' % pid):
        with open(path) as file:
            text = file.read()
        for i, kind in enumerate(('voluntary', 'nonvoluntary')):
            count[i] += int(re.search(r'^%s_ctxt_switches:\s*(\d+)' % kind, text, re.M).group(1))
    return tuple(count)


def memory(pid):
    """kB."""
    with open('/proc/%d/smaps_rollup' % pid) as file:
        text = file.read()
    return {name.lower(): int(re.search(r'^%s:\s*(\d+)' % name, text, re.M).group(1))
            for name in ('Pss', 'Private_Dirty', 'Rss')}


# ---- wake-ups --------------------------------------------------------------------------------

CALLS = ('poll', 'ppoll', 'epoll_wait', 'epoll_pwait', 'select', 'pselect6', 'restart_syscall')
SLEEPS = re.compile(r'(?:%s)(?:\(| resumed>)' % '|'.join(CALLS))
ONLY_LOOKS = re.compile(r', 0(?: <unfinished|\) += )')  # a time-out of 0
SLEPT_AT_LEAST = 60e-6  # s: what did not wait for anything returns sooner, strace included


def _inodes(path, column):
    with open(path) as file:
        return {line.split()[column] for line in file.readlines()[1:]}


def _names(pid):
    """What the descriptors of a process are."""
    names = {}
    unix = _inodes('/proc/net/unix', 6)
    for path in glob.glob('/proc/%d/fd/*' % pid):
        try:
            target = os.readlink(path)
        except OSError:
            continue
        if 'eventfd' in target:
            names[int(os.path.basename(path))] = 'another thread'
        elif 'eventpoll' in target:
            names[int(os.path.basename(path))] = 'HTTP'
        elif 'socket' in target:
            inode = re.search(r'\d+', target).group()
            names[int(os.path.basename(path))] = 'the bus' if inode in unix else 'HTTP'
    return names


def _threads(pid):
    names = {}
    for path in glob.glob('/proc/%d/task/*/comm' % pid):
        tid = int(path.split('/')[4])
        with open(path) as file:
            names[tid] = 'main' if tid == pid else file.read().strip()
    return names


class Wakeups:
    """Follows a process with strace and says why its threads were woken."""

    def __init__(self, pid):
        self.names = _names(pid)
        self.threads = _threads(pid)
        self.looking = set()  # threads within a call that does not wait
        self.file = tempfile.NamedTemporaryFile(prefix='bms-bench-')
        self.child = subprocess.Popen(
            ['strace', '-f', '-T', '-o', self.file.name, '-p', str(pid),
             '-e', 'trace=' + ','.join(CALLS)],
            stderr=subprocess.PIPE)
        self.child.stderr.readline()  # "attached"

    def end(self):
        """{thread and cause: how often}"""
        self.child.terminate()
        self.child.wait()
        self.child.stderr.close()
        causes = {}
        with open(self.file.name) as file:
            for line in file:
                cause = self._cause(line)
                if cause:
                    causes[cause] = causes.get(cause, 0) + 1
        self.file.close()
        return causes

    def _cause(self, line):
        tid = int(line.split()[0])
        looks = tid in self.looking or ONLY_LOOKS.search(line)
        self.looking.discard(tid)
        if looks and 'unfinished' in line:
            self.looking.add(tid)
        slept = re.search(r'<([\d.]+)>$', line)
        if looks or not SLEEPS.search(line) or not slept or \
                float(slept.group(1)) < SLEPT_AT_LEAST:
            return None
        thread = self.threads.get(tid, 'other')
        ready = re.findall(r'\{fd=(\d+), revents=', line)
        if ready:
            return thread + ': ' + ', '.join(sorted({self.names.get(int(fd), 'other')
                                                     for fd in ready}))
        return thread + (': timer' if '= 0' in line else ': not told')


class Calls:
    """Counts a process' system calls."""

    def __init__(self, pid):
        self.child = subprocess.Popen(['strace', '-f', '-c', '-p', str(pid)],
                                      stderr=subprocess.PIPE, text=True)
        self.child.stderr.readline()  # "attached"

    def end(self):
        self.child.terminate()
        with self.child.stderr as said:
            total = re.search(r'(\d+)(?: +\d+)? total', said.read())
        self.child.wait()
        return int(total.group(1))


# ---- instructions and allocations ------------------------------------------------------------

def _valgrind(pattern, options, command):
    done = subprocess.run(['valgrind'] + options + command, capture_output=True, text=True,
                          env=dict(os.environ, G_SLICE='always-malloc'), check=True)
    found = re.search(pattern, done.stderr)
    numbers = tuple(int(n.replace(',', '')) for n in found.groups())
    return numbers, done.stdout.split()


def instructions(*command, times=(5, 25)):
    """Of one time, as the difference between runs; and what the program printed."""
    counts = []
    for n in times:
        (count,), said = _valgrind(r'Collected : (\d+)',
                                   ['--tool=callgrind', '--callgrind-out-file=/dev/null'],
                                   list(command) + [str(n)])
        counts.append(count)
    return (counts[1] - counts[0]) / (times[1] - times[0]), [int(w) for w in said]


def allocations(*command, times=(5, 25)):
    """Of one time: (how often, bytes)."""
    totals = []
    for n in times:
        total, _ = _valgrind(r'total heap usage: ([\d,]+) allocs, [\d,]+ frees, ([\d,]+) bytes',
                             ['--leak-check=no'], list(command) + [str(n)])
        totals.append(total)
    span = times[1] - times[0]
    return tuple((totals[1][i] - totals[0][i]) / span for i in range(2))


# ---- scraping, the binary --------------------------------------------------------------------

def wrk_command(port, connections, seconds):
    return ['wrk', '-t1', '-c%d' % connections, '-d%gs' % seconds, '--timeout', '10s',
            '-s', HERE + '/wrk.lua', 'http://127.0.0.1:%d/metrics' % port]


def wrk_result(output):
    result = json.loads(output.splitlines()[-1])
    result['per_second'] = result['requests'] / (result['us'] / 1e6)
    return result


def wrk(port, connections, seconds):
    done = subprocess.run(wrk_command(port, connections, seconds), capture_output=True, text=True,
                          check=True)
    return wrk_result(done.stdout)


def binary(path):
    def run(*command):
        return subprocess.run(command, capture_output=True, text=True).stdout

    sizes = run('size', path).splitlines()[1].split()
    return {
        'text': int(sizes[0]), 'data': int(sizes[1]), 'bss': int(sizes[2]),
        'needed': re.findall(r'\(NEEDED\).*\[(.*)\]', run('readelf', '-d', path)),
        'unused': [line.strip() for line in run('ldd', '-u', '-r', path).splitlines()[1:]],
        'libraries_loaded': len([line for line in run('ldd', path).splitlines()
                                 if '=>' in line]),
        'relocations': len([line for line in run('readelf', '-rW', path).splitlines()
                            if 'R_' in line]),
    }
