#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""The soak itself. Runs inside the user-mode kernel, in virtual time; see run."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

import field  # first: it knows where the others are

import fcntl
import json
import random
import shlex
import socket
import struct
import time

import measure
import report
import schedule
from faults import KINDS
from judge import Judge

HOUR = 3600
SCRAPE = 3, 7      # s: between two scrapes
EPOCH = 1.5, 3.5   # s: between two values of the board
MEASURE = 600      # s: all caches are filled when the first measurement comes
REPORT = HOUR
WAIT = 60          # s: for what a fault waits for


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack('16sh14x', b'lo', 0x49))  # SIOCSIFFLAGS


class Run:
    def __init__(self, field, options):
        self.field = field
        self.options = options
        self.seconds = options['hours'] * HOUR
        self.random = random.Random(options['seed'])
        self.judge = None
        self.samples = []
        self.began = None
        self.entries = []
        self.active = {}  # place: fault

    # ---- time ------------------------------------------------------------------------------------

    def now(self):
        return time.monotonic() - self.began

    def every(self, between, function):
        """Calls the function again and again."""
        def again():
            function()
            wait = self.random.uniform(*between) if isinstance(between, tuple) else between
            self.field.later(wait, again)
        again()

    # ---- what happens again and again ------------------------------------------------------------

    def scrape(self):
        if not self.field.held:
            self.judge.scrape()

    def epoch(self):
        self.field.next_epoch()
        for fault in self.active.values():
            fault.step()

    def measure(self):
        """When all is well only, or else things would be compared that cannot be."""
        if self.field.held or self.active or not self.judge.calm():
            self.field.later(30, self.measure)
            return
        found = measure.everything(self.field.exporter.child.pid, self.field.bluez.child.pid,
                                   self.field.bus.child.pid)
        # Whoever wants to know where memory has grown compares these.
        with open('/proc/%d/smaps' % self.field.exporter.child.pid) as smaps:
            with open('smaps-last' if self.samples else 'smaps-first', 'w') as file:
                file.write(smaps.read())
        self.samples.append((self.now(), found))
        self.field.later(MEASURE, self.measure)

    def tell(self):
        judge = self.judge
        print('# %.0f h: %d polls, %d lost, %d faults, %d wrong, %d unexplained; PSS %d KiB' % (
            self.now() / HOUR, judge.polls, judge.failures, len(judge.windows), judge.wrongs,
            len(judge.unexplained), self.samples[-1][1]['pss'] if self.samples else 0), flush=True)
        os.sync()

    # ---- faults ----------------------------------------------------------------------------------

    def plan(self):
        for entry in self.entries:
            self.field.later(entry.begin - self.now(), lambda entry=entry: self.begin(entry))

    def begin(self, entry):
        kind = KINDS[entry.kind]
        if kind.place in self.active:  # what the one before has waited for came late
            self.field.later(10, lambda: self.begin(entry))
            return
        print('# %9.1f %s' % (self.now(), entry), file=self.log, flush=True)
        window = self.judge.begin(entry)
        fault = self.active[kind.place] = kind(self.field, entry.argument)

        def end():
            if self.active.get(kind.place) is not fault:
                return
            fault.end()
            del self.active[kind.place]
            self.judge.end(window, bool(self.active))
        fault.then = lambda: self.field.later(entry.duration, end)
        fault.begin()
        if fault.awaits:
            self.field.later(entry.duration + WAIT, end)
        else:
            fault.then()

    # ---- all of it -------------------------------------------------------------------------------

    def draw(self):
        if os.path.exists('schedule'):
            self.entries = schedule.read('schedule')
        else:
            wanted = self.options['faults'].split() or KINDS
            kinds = {name: KINDS[name] for name in wanted if name != 'none'}
            self.entries = schedule.draw(
                self.options['seed'], self.seconds, self.options['quiet'], kinds) if kinds else []
        schedule.write(self.entries, 'schedule.used')

    def run(self):
        self.draw()
        field = self.field
        with open('faults.log', 'w') as self.log, field:
            field.begin()
            field.address = field.board.address
            field.start_exporter(*shlex.split(self.options['arguments']))
            field.exporter.fresh()
            self.began = time.monotonic()
            self.judge = Judge(field, self.log)
            self.every(EPOCH, self.epoch)
            self.every(SCRAPE, self.scrape)
            field.later(MEASURE, self.measure)
            self.every(REPORT, self.tell)
            self.plan()
            while self.now() < self.seconds:
                field.wait()
            last = self.judge.scrape()
            with open('exporter.log', 'w') as file:
                file.write('\n'.join(field.exporter.lines) + '\n')
            with open('last-scrape', 'w') as file:
                file.write(last.text)
            report.write_faults(self, 'faults.json')
            ok = report.write(self, 'report.md')
        return ok


def main():
    os.chdir('/mnt/share')
    with open('options') as file:
        options = json.load(file)
    loopback_up()
    sys.stdout = open('result', 'w')
    bench = field.Field()
    try:
        ok = Run(bench, options).run()
    except BaseException:
        print(bench.report)
        raise
    finally:
        sys.stdout.flush()
        os.sync()
    return 0 if ok else 1


if __name__ == '__main__':
    sys.exit(main())
