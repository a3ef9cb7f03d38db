# SPDX-License-Identifier: MIT
"""The table (Markdown) of what was measured."""

import statistics

NAMES = ('exporter', 'floor', 'python')


def spread(values, form='%.0f'):
    """Median, and the range where there is one."""
    middle = form % statistics.median(values)
    low, high = form % min(values), form % max(values)
    return middle if low == high else '%s (%s–%s)' % (middle, low, high)


def ratio(rounds, key, other, inverse=False):
    """Median of the ratios within each round, the exporter's to the other's."""
    pairs = [b[key] / a[key] if inverse else a[key] / b[key]
             for a, b in zip(rounds['exporter'], rounds[other])]
    return '%.2f' % statistics.median(pairs)


class Table:
    def __init__(self, *heads):
        self.lines = ['| ' + ' | '.join(heads) + ' |', '|' + '---|' * len(heads)]

    def row(self, *cells):
        self.lines.append('| ' + ' | '.join(str(c) for c in cells) + ' |')


def compared(table, what, rounds, key, form='%.0f', scale=1):
    table.row(what, *(spread([r[key] * scale for r in rounds[name]], form) for name in NAMES),
              '×' + ratio(rounds, key, 'floor'), '×' + ratio(rounds, key, 'python'))


def poll(result, table):
    rounds = result['poll']
    compared(table, 'CPU per poll, µs', rounds, 'cpu_us')
    compared(table, '… of dbus-daemon for it, µs', rounds, 'bus_cpu_us')
    compared(table, 'context switches per poll, woken', rounds, 'voluntary', '%.1f')
    compared(table, '… preempted', {name: [dict(r, involuntary=r['involuntary'] or .01)
                                           for r in rounds[name]] for name in NAMES},
             'involuntary', '%.1f')
    compared(table, 'answer of 03 sent until 04 is there, µs', rounds, 'between_us')
    compared(table, 'poll beyond the board\'s own time, µs', rounds, 'beyond_board_us')


def memory(result, table):
    last = {name: result['memory'][name][-1] for name in NAMES}
    for key, what in (('pss', 'PSS'), ('private_dirty', 'private dirty'), ('rss', 'RSS')):
        table.row('%s after %d polls, %d scrapes, kB' % (what, last['exporter']['polls'],
                                                         last['exporter']['scrapes']),
                  *(last[name][key] for name in NAMES),
                  *('×%.2f' % (last['exporter'][key] / last[name][key])
                    for name in ('floor', 'python')))
    table.row('… private dirty since a quarter of them, kB',
              *('%+d' % (last[name]['private_dirty'] - result['memory'][name][1]['private_dirty'])
                for name in NAMES), '', '')


def scrape(result, table):
    for connections, rounds in result['scrape'].items():
        compared(table, 'scrapes per second, %s connections' % connections, rounds, 'per_second')
        compared(table, '… p50, µs', rounds, 'p50_us')
        compared(table, '… p99, µs', rounds, 'p99_us')
        compared(table, '… CPU per scrape, µs', rounds, 'cpu_us')
    table.row('series, bytes of a scrape',
              *('%d, %d' % (result['body'][n]['series'], result['body'][n]['bytes'])
                for n in NAMES), '', '')


def cadence(result, table):
    for key, what in (('idle', 'not scraped'), ('scraped', 'scraped at full speed')):
        found = {name: result['cadence'][name][key] for name in NAMES}
        table.row('jitter of polls, %s: p50, p99, max, ms' % what,
                  *('%.1f, %.1f, %.1f' % (found[n]['p50_ms'], found[n]['p99_ms'],
                                          found[n]['max_ms']) for n in NAMES), '', '')
        table.row('… polls, of them lost',
                  *('%d, %d' % (found[n]['polls'], found[n]['lost']) for n in NAMES), '', '')


def start(result, table):
    rounds = result['start']
    compared(table, 'start to first byte of /metrics, ms', rounds, 'first_byte_ms', '%.1f')
    compared(table, 'start to first values, ms', rounds, 'first_values_ms')
    beyond = {name: [dict(r, beyond=r['first_values_ms'] - r['stand_in_ms'])
                     for r in rounds[name]] for name in NAMES}
    compared(table, '… beyond the stand-in\'s own time, ms', beyond, 'beyond', '%.1f')


def causes(result):
    table = Table('thread woken by', *('%s, a poll' % n for n in NAMES),
                  *('%s, an idle minute' % n for n in NAMES))
    found, idle = result['wakeups'], result['idle']
    for cause in sorted({cause for part in (found, idle) for name in NAMES
                         for cause in part[name]['causes']}):
        table.row(cause, *('%.1f' % found[name]['causes'].get(cause, 0) for name in NAMES),
                  *('%.0f' % idle[name]['causes'].get(cause, 0) for name in NAMES))
    table.row('all context switches of one that slept', '', '', '',
              *('%.0f' % idle[name]['switches'] for name in NAMES))
    table.row('system calls', *('%.0f' % found[name]['calls'] for name in NAMES), '', '', '')
    return table.lines


def several(result):
    table = Table('batteries', 'CPU per poll, µs', 'polls lost', 'PSS, kB', 'private dirty, kB',
                  'more per battery, kB', 'bytes of a scrape', 'µs per scrape', 'per battery')
    first = None
    for n, r in result['several'].items():
        first = first or r
        more = (r['memory']['private_dirty'] - first['memory']['private_dirty']) / \
            max(1, int(n) - 1)
        table.row(n, '%.0f' % r['cpu_us_per_poll'], '%d' % max(r['lost'], r['failures']),
                  r['memory']['pss'], r['memory']['private_dirty'],
                  '' if r is first else '%.1f' % more, r['bytes'], '%.0f' % r['scrape_us'],
                  '%.0f' % (r['scrape_us'] / int(n)))
    return table.lines


def computed(result):
    table = Table('computed', 'instructions', '', '')
    d = result['decode']
    table.row('decode one frame (reassembly, checksum, values)',
              '%.0f' % d['instructions_per_frame'], '%.1f a byte' % d['per_byte'],
              'a loop that loads and stores each: %.1f' % d['loop_per_byte'])
    for r in result['render']:
        table.row('render %d batteries, %d series' % (r['batteries'], r['series']),
                  '%.0f' % r['instructions'], '%.0f a series' % r['per_series'],
                  '%.0f allocations, %.0f bytes for %d' % (
                      r['allocations'], r['allocated_bytes'], r['bytes']))
    return table.lines


def binary(result):
    table = Table('binary', 'text, data, bss', 'relocations', 'libraries needed', '… loaded',
                  'needed in vain')
    for name, b in result['binary'].items():
        table.row(name, '%d, %d, %d' % (b['text'], b['data'], b['bss']), b['relocations'],
                  ' '.join(b['needed']), b['libraries_loaded'], ' '.join(b['unused']) or 'none')
    return table.lines


def table(result):
    """All parts that are there."""
    m = result['machine']
    lines = ['%s, %d CPUs, %d MB, Linux %s (%s), %s; load average at the start of each part: %s' % (
        m['cpu'], m['cpus'], m['memory_mb'], m['kernel'], m['architecture'], m['date'],
        ', '.join('%s %.1f' % (part, before) for part, before, _ in result['load'])), '']
    main = Table('figure: median (range)', *NAMES, 'to the floor', 'to python')
    for part in (poll, memory, scrape, cadence, start):
        if part.__name__ in result:
            part(result, main)
    lines += main.lines
    for name, part in (('idle', causes), ('several', several), ('decode', computed),
                       ('binary', binary)):
        if name in result:
            lines += [''] + part(result)
    return '\n'.join(lines)
