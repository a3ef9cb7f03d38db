# SPDX-License-Identifier: MIT
"""
One injection: a bench of its own, the program with its defaults, one fault at a random moment of a
poll's slot, and what came of it. Everything that is served meanwhile is compared with what the
board has said.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE) + '/integration')

import copy
import random
import re
import shlex
import time

from harness import ADDRESS, Bench, Failed, Metrics, check
from kinds import KINDS, SPAN
from readings import TRUE_BOARD, TRUTH, set_truth

INTERVAL = 10          # s: of the polls, the program's default
FRESH = 3 * INTERVAL
ROUND = INTERVAL + 3   # s: of a round of questions that is repeated, with a slot's begin in it
EPOCH = 2              # s: after so long the board says other values
LOOK = .5              # s: between two scrapes
LOOK_CLOSELY = .2      # behind a fault
SETTLE = 1, 11         # s: from the first readings to the fault
PATIENCE = 400         # s: then it is said not to be coming back
CELL_MV = 3301        # of the first cell, in epoch 0
AT_ONCE = .1           # s: for clocks read one after the other

# What changes from scrape to scrape while no other readings come.
TICKING = re.compile(r'#|process_|bms_exporter_|bms_(polls|poll_failures|frames|frame_errors|'
                     r'recovery_actions|link_sessions|scrape|poll_duration)')


def truth(basic, cells):
    """Of a board whose registers were answered in these epochs."""
    values = copy.copy(TRUTH)
    values.cycles = basic
    values.cells = [TRUTH.cells[0] + cells / 1000, *TRUTH.cells[1:]]
    return values


class Injection:
    def __init__(self, seed, kind, number):
        self.kind = KINDS[kind]
        self.number = number
        self.random = random.Random('%s %s %d' % (seed, kind, number))
        self.choice = self.random.choice(self.kind.choices)
        self.duration = SPAN[0] * (SPAN[1] / SPAN[0]) ** self.random.random()
        self.settle = self.random.uniform(*SETTLE)
        self.bench = Bench()
        self.held = False      # the program is stopped
        self.requests = 0
        self.timers = []       # (when, command)
        self.epoch = 0
        self.said = []         # (from, to) of each epoch
        self.shown = None      # epochs served last: basic, cells
        self.success = None    # served last
        self.text = None       # readings compared last
        self.wrong = []
        self.counts = []       # (when, polls lost), of each scrape
        self.late = 0          # s: of this process' own waking, at most
        self.next_look = self.next_epoch = 0
        self.events = 0
        self.active = False
        self.up = False

    # ---- the board -------------------------------------------------------------------------------

    def say(self):
        """The board says new values from now on, which no scrape before can have shown."""
        now = time.time()
        self.epoch += 1
        # One command for each register: it may be asked for between two.
        self.bench.sim('set %s cycles %d' % (ADDRESS, self.epoch),
                       'set %s cell 1 %d' % (ADDRESS, CELL_MV + self.epoch))
        if self.said:
            self.said[-1] = self.said[-1][0], time.time()
        self.said += [(0, 0)] * (self.epoch - len(self.said)) + [(now, float('inf'))]
        self.next_epoch = time.monotonic() + EPOCH

    def was_said(self, epoch, since, until):
        return (0 <= epoch < len(self.said) and
                self.said[epoch][0] <= until + AT_ONCE and self.said[epoch][1] >= since - AT_ONCE)

    # ---- what is served --------------------------------------------------------------------------

    def compare(self, text, metrics, when):
        success = metrics('bms_last_success_timestamp_seconds')
        up = metrics('bms_up')
        if success is None:
            check(up == 0, 'up without a success')
            return
        check(up == 0 or when - success < FRESH + AT_ONCE,
              'up %.1f s after the latest success' % (when - success))
        cycles = metrics('bms_charge_cycles_total')
        first = metrics('bms_cell_voltage_volts', cell='1')
        epochs = self.shown
        if cycles is not None and first is not None:
            epochs = round(cycles), round(first * 1000) - CELL_MV
        truth(*(epochs or (0, 0))).check(metrics)
        if up == 1:
            if success != self.success:
                for epoch in epochs:
                    check(self.was_said(epoch, success - ROUND, success),
                          'epoch %d in a poll of %.3f, said %s' % (
                              epoch, success, self.said[epoch:epoch + 1]))
                check(not self.shown or epochs >= self.shown, 'older values than before')
            else:
                check(epochs == self.shown, 'other values without a success')
            self.shown = epochs
        self.success = success

    def look(self):
        """One scrape. Returns whether it is fresh, and the epochs that it shows."""
        when = time.time()
        text = self.bench.exporter.get().text
        self.counts.append((time.time(), sum(
            float(value) for value in
            re.findall(r'(?m)^bms_poll_failures_total\{.*\} (\S+)$', text))))
        readings = [line for line in text.splitlines() if not TICKING.match(line)]
        # Parsing takes long, so only what is new is parsed; and now and then what is not.
        if readings != self.text or when - (self.success or when) > FRESH - 1:
            self.text = readings
            metrics = Metrics(text)
            self.up = metrics('bms_up') == 1
            try:
                self.compare(text, metrics, when)
            except Failed as failure:
                self.wrong.append('%.3f: %s' % (when, failure))

    # ---- time ------------------------------------------------------------------------------------

    def later(self, seconds, command):
        self.timers.append((time.monotonic() + seconds, command))

    def step(self, closely):
        """Whatever is due now."""
        now = time.monotonic()
        for timer in [each for each in self.timers if each[0] <= now]:
            self.timers.remove(timer)
            self.bench.sim(timer[1])
        events = self.bench.sim.events if self.bench.sim else []
        if self.active and self.kind.on_event:
            for _, event in events[self.events:]:
                self.kind.on_event(self, event)
        self.events = len(events)
        if self.bench.sim and now >= self.next_epoch:
            self.say()
        if not self.held and now >= self.next_look:
            if self.next_look:
                self.late = max(self.late, now - self.next_look)
            self.look()
            self.next_look = time.monotonic() + (LOOK_CLOSELY if closely else LOOK)

    def live(self, condition, limit, closely=False):
        """Until the condition holds; returns whether it did within the limit."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            seen = self.bench.pulse.count
            self.step(closely)
            if condition():
                return True
            due = [end, self.next_epoch, *(each[0] for each in self.timers)]
            if not self.held:
                due.append(self.next_look)
            with self.bench.pulse.condition:
                self.bench.pulse.condition.wait_for(
                    lambda: self.kind.on_event and self.bench.pulse.count != seen,
                    max(0, min(due) - time.monotonic()))
        return False

    # ---- the fault -------------------------------------------------------------------------------

    def start_sim(self):
        self.bench.start_sim(ADDRESS + TRUE_BOARD + (',known' if self.said else ''), faithful=True)
        # All that is set before a link can be up, or other values would be read.
        set_truth(self.bench.sim)
        self.events = 0
        self.say()

    def stop_bus(self):
        bench = self.bench
        bench.bus.kill()
        bench.sim.child.wait()
        for each in bench.bus, bench.sim:
            bench.started.remove(each)
        bench.sim.kill()
        bench.sim = None

    def start_bus(self):
        self.bench.start_bus()
        self.start_sim()

    def do(self, what):
        for each in what:
            if callable(each):
                each(self)
            elif each.startswith('absent-in'):
                self.later(float(self.choice), 'absent *')
            else:
                self.bench.sim(each.format(self.choice))

    def lost_by(self, when):
        """Polls lost as the latest scrape of that time has them."""
        return max((lost for at, lost in self.counts if at <= when), default=0)

    def measure(self):
        bench = self.bench
        bench.start_bus()
        self.start_sim()
        bench.start(*self.kind.options, *shlex.split(os.environ.get('FAULTS_ARGUMENTS', '')))
        check(self.live(lambda: self.up and self.shown, 60), 'no first readings')
        self.live(lambda: False, self.settle)

        began = time.time()
        self.active = True
        self.do(self.kind.begin)
        if self.kind.end:
            self.live(lambda: False, self.duration)
        self.active = False
        self.late = 0
        self.timers.clear()
        self.do(self.kind.end)
        ended = time.time() if self.kind.end else began
        if bench.sim:
            self.say()
        epoch = self.epoch
        fresh = self.live(lambda: self.up and min(self.shown or (0,)) >= epoch, PATIENCE, True)
        now = time.time()
        lost = self.lost_by(now) - self.lost_by(began)
        # A moment longer: what was served a moment ago must not come back.
        self.live(lambda: False, 2)
        return {
            'kind': self.kind.name, 'number': self.number, 'argument': self.choice,
            'duration': round(ended - began, 3),
            'recovery': round(now - ended, 3) if fresh else None,
            'lost': lost, 'lost_behind': lost - max(
                0, self.lost_by(ended + INTERVAL) - self.lost_by(began)),
            'scrapes': len(self.counts), 'wrong': self.wrong, 'late': round(self.late, 3)}

    def run(self, directory):
        """Returns what was measured; the log goes to the directory."""
        log = '%s/%s-%d.log' % (directory, self.kind.name, self.number)
        try:
            with self.bench:
                try:
                    return self.measure()
                finally:
                    with open(log, 'w') as file:
                        if self.bench.exporter:
                            file.write('\n'.join(self.bench.exporter.lines) + '\n')
                        if self.bench.sim:
                            file.write('\n'.join('%.3f %s' % each for each in
                                                 self.bench.sim.events) + '\n')
        except BaseException as error:
            with open(log, 'a') as file:
                file.write('%r\n%s\n' % (error, self.bench.report))
            return {'kind': self.kind.name, 'number': self.number, 'error': '%r, see %s' % (
                error, log)}
