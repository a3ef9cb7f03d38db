# SPDX-License-Identifier: MIT
"""Whether what is served is true and fresh, which polls were lost, and by which fault."""

import time

from epochs import EPOCHS, Served, readings
from harness import Failed, check

INTERVAL = 10  # s: of the polls
FRESH = 3 * INTERVAL
# A question is answered, or asked again, within a slot; a round may reach into the next one.
ROUND = INTERVAL + 3
AT_ONCE = .05  # s: things of one moment may be seen in either order
KEPT = 20      # complaints of which the text is kept


class Window:
    """A fault and what came of it."""

    def __init__(self, entry, begin):
        self.entry = entry
        self.begin = begin
        self.end = None
        self.fresh = None  # when readings came that were asked for behind its end
        self.lost = 0
        self.lost_behind = 0  # of these, in slots that began behind its end

    @property
    def recovery(self):
        return self.fresh - self.end


class Judge:
    """Looks at each scrape. Times are of the wall clock, which under virtual time is exact."""

    def __init__(self, field, log):
        self.field = field
        self.log = log  # a file: which poll was lost by what
        self.origin = time.time()
        self.interval = INTERVAL
        self.windows = []
        self.ending = []
        self.wrong = []
        self.wrongs = 0
        self.unexplained = []
        self.scrapes = 0
        self.success = None
        self.last = None  # the scrape before
        self.last_at = None
        self.shown = None
        self.counters_age = 0
        self.polls = self.failures = 0
        self.reasons = {}

    # ---- truth -----------------------------------------------------------------------------------

    def complain(self, text):
        self.wrongs += 1
        if len(self.wrong) < KEPT:
            self.wrong.append('at %.0f s: %s' % (time.time() - self.origin, text))

    def _was_said(self, register, epoch, since, until):
        """Whether the board was asked for a register in that epoch and time."""
        return any(since - AT_ONCE <= at <= until + AT_ONCE and epoch in (n, (n + 1) % EPOCHS)
                   for at, n in self.field.asked[register])

    @staticmethod
    def _older(one, other):
        return one is not None and other is not None and 0 < (other - one) % EPOCHS < EPOCHS // 2

    def _check_age(self, up, success, now):
        check(up in (0, 1), 'bms_up is %s' % up)
        if success is None:
            check(up == 0, 'up without a success')
            return
        age = now - success
        check(age >= -AT_ONCE, 'a success in the future')
        check(up == 1 or age > FRESH - AT_ONCE, 'not up %.1f s after a success' % age)
        check(up == 0 or age < FRESH + AT_ONCE, 'up %.1f s after the latest success' % age)
        check(self.success is None or success >= self.success, 'the latest success is an older one')

    def _check_order(self, served):
        for name in 'basic', 'cells', 'counters':
            check(not self._older(getattr(served, name), getattr(self.shown, name)),
                  '%s: older values than before' % name)

    def _check_source(self, served, success):
        """Of fresh readings: they are what the board said when it was asked last."""
        if success == self.success:
            check((served.basic, served.cells) == (self.shown.basic, self.shown.cells),
                  'other values without a success')
            return
        # Behind the success before this one, and in a round of usual length.
        since = max(self.success or 0, success - ROUND)
        for register, epoch in ('03', served.basic), ('04', served.cells):
            check(self._was_said(register, epoch, since, success),
                  'register %s as the board did not say it then: %s; it said %s' % (
                      register, epoch, [n for _, n in self.field.asked[register]][-4:]))

    def _check_counters(self, served, up, now):
        """They stay, so they can be older; but they have to be what the board has said."""
        if served.counters is None:
            return
        if up:
            self.counters_age = max(self.counters_age,
                                    now - self.field.said_at[served.counters])
        check(self.shown and served.counters == self.shown.counters or
              self._was_said('aa', served.counters, now - ROUND, now),
              'register aa as the board did not say it lately: %s' % served.counters)

    def _check(self, metrics, battery, now):
        served = Served(metrics, battery)
        success = metrics('bms_last_success_timestamp_seconds', battery=battery)
        up = metrics('bms_up', battery=battery)
        try:
            self._check_age(up, success, now)
            if success is None:
                return
            readings(served.basic, served.cells or 0, served.counters).check(
                metrics, battery=battery)
            if self.shown:
                self._check_order(served)
            if up:
                self._check_source(served, success)
            self._check_counters(served, up, now)
        except Failed as failure:
            self.complain(str(failure))
        self.success, self.shown = success, served

    # ---- polls -----------------------------------------------------------------------------------

    def _explain(self, since, until):
        """The fault that a poll was lost by which failed in that time."""
        for window in reversed(self.windows):
            if window.begin <= until and (window.fresh is None or
                                          window.fresh >= since - INTERVAL):
                return window
        return None

    def _count(self, metrics, battery, now):
        if not self.last:
            return
        polls = metrics('bms_polls_total', battery=battery)
        due = polls - self.last('bms_polls_total', battery=battery)
        self.polls += due
        for labels, value in metrics.all('bms_poll_failures_total', battery=battery).items():
            reason = dict(labels)['reason']
            lost = value - self.last('bms_poll_failures_total', **dict(labels))
            if not lost:
                continue
            self.failures += lost
            self.reasons[reason] = self.reasons.get(reason, 0) + lost
            window = self._explain(self.last_at, now)
            print('# %9.1f lost %d × %s: %s' % (now - self.origin, lost, reason,
                                                window and window.entry.kind), file=self.log)
            if window:
                window.lost += lost
                if window.end and self.last_at - INTERVAL > window.end:
                    window.lost_behind += lost
            else:
                self.unexplained.append((lost, 'at %.0f s: %d × %s' % (
                    now - self.origin, lost, reason)))

    # ---- what the run calls ----------------------------------------------------------------------

    def scrape(self):
        battery = self.field.address
        metrics = self.field.exporter.metrics()
        now = time.time()
        self.scrapes += 1
        self._check(metrics, battery, now)
        for window in self.windows:
            if window.end and not window.fresh and self.success and self.success > window.end:
                window.fresh = self.success
        self._count(metrics, battery, now)
        self.last, self.last_at = metrics, now
        return metrics

    def begin(self, entry):
        for window in self.windows:
            if window.end and not window.fresh:
                # Not recovered from yet: it is over when this one is.
                window.end = None
                self.ending.append(window)
        self.windows.append(Window(entry, time.time()))
        return self.windows[-1]

    def end(self, window, others):
        """A fault that ends while there are others is counted as one with them."""
        self.ending.append(window)
        if not others:
            for each in self.ending:
                each.end = time.time()
            self.ending.clear()

    def calm(self):
        """Whether the latest faults are over and readings are back."""
        return all(window.fresh for window in self.windows[-3:])
