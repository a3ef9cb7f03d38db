# SPDX-License-Identifier: MIT
"""The verdict and the tables at the end, as Markdown; each fault by itself, as JSON."""

import json
import statistics

HOUR = 3600
FRESH_WITHIN = 240   # s: from the end of a fault to fresh values
GROWTH_KIB = 256     # of memory, from the first hour to the end
SAMPLES = ((1, '1 h'), (12, '12 h'))
MEASURED = (
    ('pss', 'PSS, KiB'), ('rss', 'RSS, KiB'), ('private', 'memory of its own, KiB'),
    ('heap', 'heap, KiB'), ('descriptors', 'file descriptors'), ('threads', 'threads'),
    ('rules', 'match rules of its own'), ('all rules', 'match rules on the bus'),
    ('bluez objects', 'objects of BlueZ'), ('bluetoothd', 'bluetoothd: PSS, KiB'),
    ('bus', 'dbus-daemon: PSS, KiB'))
IN_KIB = 'pss', 'rss', 'private', 'heap'
EQUAL = 'descriptors', 'threads', 'rules', 'all rules', 'bluez objects'


def table(head, rows):
    yield '| %s |' % ' | '.join(head)
    yield '|' + '---|' * len(head)
    for row in rows:
        yield '| %s |' % ' | '.join(str(each) for each in row)
    yield ''


def chosen(samples):
    """(title, sample) of the first hour (or the beginning), of the twelfth, and of the end."""
    found = []
    for hours, title in SAMPLES:
        found += [(title, sample) for at, sample in samples[:-1] if at >= hours * HOUR][:1]
    return (found or [('beginning', samples[0][1])]) + [('end', samples[-1][1])]


def number(value):
    return '%d' % value if value == int(value) else '%.1f' % value


def memory(run):
    if not run.samples:
        return []
    columns = chosen(run.samples)
    return table(['', *(title for title, _ in columns)],
                 [[title, *(sample[key] for _, sample in columns)] for key, title in MEASURED])


def polls(run):
    judge = run.judge
    return table(['', ''], [
        ['virtual time', '%g h' % run.options['hours']],
        ['polls due', number(judge.polls)],
        ['polls made', number(judge.polls - judge.failures)],
        ['polls lost', '%d (%s)' % (judge.failures, ', '.join(
            '%s %d' % each for each in sorted(judge.reasons.items())) or '-')],
        ['of these not explained by a fault', number(sum(n for n, _ in judge.unexplained))],
        ['sessions', ', '.join(sorted(
            '%s %d' % (dict(labels)['reason'], value)
            for labels, value in judge.last.all('bms_link_sessions_total').items() if value))],
        ['scrapes, each compared with what the board has said', judge.scrapes],
        ['oldest counters of register AA served while fresh', '%.0f s' % judge.counters_age],
        ['wrong or stale values served', judge.wrongs]])


def faults(run):
    kinds = {}
    for window in run.judge.windows:
        kinds.setdefault(window.entry.kind, []).append(window)
    rows = []
    for kind, windows in sorted(kinds.items()):
        rows.append(row(kind, windows))
    if rows:
        rows.append(row('all', run.judge.windows))
    return table(['fault', 'times', 'seconds of it', 'polls lost', 'of these behind its end',
                  'fresh again after: median, s', 'worst, s'], rows)


def row(name, windows):
    times = [window.recovery for window in windows if window.fresh]
    return [name, len(windows), '%.0f' % sum(window.entry.duration for window in windows),
            number(sum(window.lost for window in windows)),
            number(sum(window.lost_behind for window in windows)),
            '%.1f' % statistics.median(times) if times else '-',
            '%.1f' % max(times) if times else '-']


def write_faults(run, path):
    """One object for each fault; recovery is null if readings did not come back."""
    windows = [{'kind': window.entry.kind, 'argument': window.entry.argument,
                'begin': window.entry.begin, 'duration': window.end - window.begin,
                'recovery': window.recovery if window.fresh else None,
                'lost': window.lost, 'lost_behind': window.lost_behind}
               for window in run.judge.windows if window.end]
    with open(path, 'w', encoding='utf-8') as file:
        json.dump({'faults': windows, 'scrapes': run.judge.scrapes, 'wrong': run.judge.wrongs,
                   'unexplained': [text for _, text in run.judge.unexplained]}, file)


def verdict(run):
    """What is wrong, one line each."""
    judge = run.judge
    yield from ('wrong or stale: ' + text for text in judge.wrong)
    yield from ('lost without a fault: ' + text for _, text in judge.unexplained)
    for window in judge.windows:
        if not window.fresh:
            yield 'never fresh again: %s' % window.entry
        elif window.recovery > FRESH_WITHIN:
            yield 'fresh again only after %.0f s: %s' % (window.recovery, window.entry)
    if abs(judge.polls - run.seconds / judge.interval) > 2:
        yield '%d polls were due in %d s' % (judge.polls, run.seconds)
    if len(run.samples) < 2:
        yield 'too little was measured'
        return
    first, last = chosen(run.samples)[0][1], run.samples[-1][1]
    for key in IN_KIB:
        if last[key] > first[key] + GROWTH_KIB:
            yield '%s has grown from %d to %d KiB' % (key, first[key], last[key])
    for key in EQUAL:
        if last[key] != first[key]:
            yield '%s: %d at first, %d in the end' % (key, first[key], last[key])


def write(run, path):
    """Returns whether all is well."""
    said = list(verdict(run))
    with open(path, 'w', encoding='utf-8') as file:
        for part in (polls, faults, memory):
            file.writelines(line + '\n' for line in part(run))
        file.writelines(line + '\n' for line in said)
    return not said
