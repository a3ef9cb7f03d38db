# SPDX-License-Identifier: MIT
"""What is measured. Each function takes the sizes of the run and returns plain numbers."""

import re
import signal
import statistics
import time

import measure
from contestants import BOARD, INTERVAL, NAMES, ROOT, TIMES, Arena, daemon_of, harness

AFTER_POLL = .15  # s behind the board's last byte: all is done, the next poll is not yet due
ADDRESS = harness.ADDRESS


def percentile(values, percent):
    """The nearest-rank percentile."""
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * percent / 100))]


def metric(text, name):
    """Sum over a metric's series in an exposition."""
    return sum(float(v) for v in re.findall(r'^%s(?:\{[^}]*\})? (\S+)$' % name, text, re.M))


def interleaved(rounds, function, names=NAMES, say=None):
    """{name: [result of each round]}, all in a round before the next round begins."""
    results = {name: [] for name in names}
    for i in range(rounds):
        for name in names:
            if say:
                say('%s, round %d of %d' % (name, i + 1, rounds))
            results[name].append(function(name))
    return results


# ---- one poll --------------------------------------------------------------------------------

def answer_times(events):
    """(the board's time for each answer, from an answer's last byte to the next question), s"""
    board, between = [], []
    asked = answered = None
    for when, text in events:
        what, _, register = text.split()[:3] if text.count(' ') >= 2 else (text, '', '')
        if what == 'request':
            if register == '04' and answered:
                between.append(when - answered)
            asked, answered = when, None
        elif what == 'reply' and asked:
            board.append(when - asked)
            answered = when if register == '03' else None
            asked = None
    return board, between


def polling(arena):
    """(how many polls there were, seconds that they took together), as the process itself tells"""
    if arena.name == 'floor':
        process = arena.process
        seen = len(process.lines)
        process.signal(signal.SIGUSR1)
        arena.eventually('its polls', lambda: len(process.lines) > seen)
        polls, took_us = re.fullmatch(r'polls (\d+), (\d+) us', process.lines[seen]).groups()
        return int(polls), int(took_us) / 1e6
    text = arena.get().decode()
    return (metric(text, 'bms_poll_duration_seconds_count'),
            metric(text, 'bms_poll_duration_seconds_sum'))


def poll(name, polls):
    """CPU, context switches and time of a poll in the steady state."""
    with Arena(name) as arena:
        process = arena.settled()
        time.sleep(AFTER_POLL)
        mark = arena.sim.mark()
        count, took = polling(arena)
        arena.wait_polls(1)
        time.sleep(AFTER_POLL)
        cpu, bus = measure.cpu_ns(process.pid), measure.cpu_ns(daemon_of(arena))
        switches = measure.switches(process.pid)
        arena.wait_polls(polls)
        time.sleep(AFTER_POLL)
        cpu = measure.cpu_ns(process.pid) - cpu
        bus = measure.cpu_ns(daemon_of(arena)) - bus
        after = measure.switches(process.pid)
        board, between = answer_times(arena.sim.events[mark:])
        more, longer = polling(arena)
        return {
            'cpu_us': cpu / polls / 1e3,
            'bus_cpu_us': bus / polls / 1e3,
            'voluntary': (after[0] - switches[0]) / polls,
            'involuntary': (after[1] - switches[1]) / polls,
            'between_us': statistics.median(between) * 1e6,
            'beyond_board_us': ((longer - took) / (more - count) - 2 * statistics.mean(board)) * 1e6,
        }


def wakeups(name, polls):
    """Of a poll: why threads were woken, and how many system calls were made."""
    with Arena(name) as arena:
        process = arena.settled()
        time.sleep(AFTER_POLL)
        follower = measure.Wakeups(process.pid)
        arena.wait_polls(polls)
        time.sleep(AFTER_POLL)
        causes = follower.end()
        counter = measure.Calls(process.pid)
        arena.wait_polls(polls)
        time.sleep(AFTER_POLL)
        return {'causes': {cause: n / polls for cause, n in causes.items()},
                'calls': counter.end() / polls}


def idle(name, seconds):
    """Of a minute without a poll: why threads were woken, and context switches."""
    with Arena(name, interval=3600) as arena:
        process = arena.launch()
        process.first_values()
        time.sleep(min(20, seconds))  # until threads that GLib keeps for a while have ended
        switches = measure.switches(process.pid)[0]
        time.sleep(seconds)
        switches = measure.switches(process.pid)[0] - switches
        follower = measure.Wakeups(process.pid)
        time.sleep(seconds)
        scale = 60 / seconds
        return {'causes': {cause: n * scale for cause, n in follower.end().items()},
                'switches': switches * scale}


# ---- memory ----------------------------------------------------------------------------------

def memory(name, polls, scrapes):
    """Samples [polls, scrapes, kB…] at the start, in the middle and at the end."""
    samples = []

    def sample(arena, polled, scraped):
        samples.append(dict(measure.memory(arena.process.pid), polls=polled, scrapes=scraped))

    with Arena(name) as arena:
        arena.settled()
        client = harness.http.client.HTTPConnection('127.0.0.1', arena.port, timeout=20)
        scraped = 0
        for polled in range(1, polls + 1):
            arena.wait_polls(1)
            while scraped < scrapes * polled // polls:
                client.request('GET', '/metrics')
                client.getresponse().read()
                scraped += 1
            if polled in (10, polls // 4, polls // 2, 3 * polls // 4, polls):
                sample(arena, polled, scraped)
        client.close()
    return samples


# ---- scraping --------------------------------------------------------------------------------

def scrape(name, connections, seconds):
    with Arena(name) as arena:
        process = arena.settled()
        measure.wrk(arena.port, connections, 1)
        cpu = measure.cpu_ns(process.pid)
        result = measure.wrk(arena.port, connections, seconds)
        result['cpu_us'] = (measure.cpu_ns(process.pid) - cpu) / 1e3 / max(1, result['requests'])
        return result


def body(name):
    """How much there is to scrape."""
    with Arena(name) as arena:
        arena.settled()
        text = arena.get().decode()
        series = [line for line in text.splitlines() if line and not line.startswith('#')]
        return {'bytes': len(text), 'series': len(series)}


def asked_at(arena, mark, address=ADDRESS):
    """When the stand-in got each poll's first request."""
    return [when for when, text in arena.sim.events[mark:]
            if text.startswith('request %s 03' % address)]


def lost(times, interval):
    """Slots between the first and the last time in which none lies."""
    if len(times) < 2:
        return 0
    return round((times[-1] - times[0]) / interval) + 1 - len(times)


def cadence(name, seconds, scraped=True):
    """How evenly it polls while it is scraped at full speed."""
    with Arena(name) as arena:
        arena.settled()
        mark = arena.sim.mark()
        if scraped:
            measure.wrk(arena.port, 32, seconds)
        else:
            time.sleep(seconds)
        times = asked_at(arena, mark)
        jitter = [abs(b - a - INTERVAL) for a, b in zip(times, times[1:])]
        return {'polls': len(times), 'lost': lost(times, INTERVAL),
                'p50_ms': percentile(jitter, 50) * 1e3, 'p99_ms': percentile(jitter, 99) * 1e3,
                'max_ms': max(jitter) * 1e3}


# ---- starting --------------------------------------------------------------------------------

def start(name):
    """From exec to the first byte of /metrics, and to the first values, ms."""
    with Arena(name) as arena:
        process = arena.launch()
        byte = arena.first_byte()
        values = process.first_values()
        arena.wait_polls(1)
        events = arena.sim.events
        at = {text.split()[0]: when for when, text in reversed(events)}  # the first of each
        board, _ = answer_times(events)
        own = at['resolved'] - at['connect'] + TIMES['notify-time'] + sum(board[:2])
        return {'first_byte_ms': (byte - process.began) * 1e3,
                'first_values_ms': (values - process.began) * 1e3,
                'stand_in_ms': own * 1e3}


# ---- several batteries -----------------------------------------------------------------------

def several(n, polls, interval=5):
    addresses = ['A4:C1:38:00:01:%02X' % i for i in range(n - 1)]
    batteries = [a + BOARD for a in [ADDRESS] + addresses]
    with Arena('exporter', batteries=batteries, interval=interval) as arena:
        process = arena.launch()
        arena.first_byte()
        arena.eventually('all batteries',
                         lambda: metric(arena.get().decode(), 'bms_up') == n, 240)
        arena.wait_polls(2)
        before = arena.get().decode()
        mark = arena.sim.mark()
        cpu = measure.cpu_ns(process.pid)
        arena.wait_polls(polls)
        cpu = measure.cpu_ns(process.pid) - cpu
        memory_kb = measure.memory(process.pid)
        polled = len(arena.sim.seen('reply .* 04', mark))
        after = arena.get().decode()
        scraped = measure.wrk(arena.port, 1, 2)
        text = arena.get().decode()
        return {'cpu_us_per_poll': cpu / 1e3 / polled,
                'lost': sum(lost(asked_at(arena, mark, a), interval)
                            for a in [ADDRESS] + addresses),
                'failures': metric(after, 'bms_poll_failures_total') -
                metric(before, 'bms_poll_failures_total'),
                'memory': memory_kb, 'bytes': len(text),
                'scrape_us': 1e6 / scraped['per_second']}



# ---- computing -------------------------------------------------------------------------------

def decoding():
    bench = ROOT + '/build/bench/'
    frames, (n_frames, n_bytes) = measure.instructions(bench + 'decode', 'frames',
                                                       times=(100, 1100))
    looked, _ = measure.instructions(bench + 'decode', 'bytes', times=(100, 1100))
    return {'instructions_per_frame': frames / n_frames, 'per_byte': frames / n_bytes,
            'loop_per_byte': looked / n_bytes}


def rendering():
    results = []
    for n in (1, 8, 64):
        command = (ROOT + '/build/bench/render', str(n))
        count, (series, size) = measure.instructions(*command)
        blocks, allocated = measure.allocations(*command)
        results.append({'batteries': n, 'series': series, 'bytes': size, 'instructions': count,
                        'per_series': count / series, 'allocations': blocks,
                        'allocated_bytes': allocated})
    return results
