#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""Several batteries over one radio."""
import os
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

from harness import ADDRESS, ADDRESS2, ADDRESS3, Bench, check, equal
from readings import TRUE_BOARD, TRUTH, Readings, set_truth
from tap import run, test

# The second board says something else than the first.
OTHER = Readings(volts=13.31, amperes=5.5, remaining=28.8, nominal=120, cycles=9, percent=24,
                 cells=[3.331, 3.322, 3.313, 3.344], celsius=[11.5, 12.5], balance=0, protection=0,
                 fet=3, tail={'humidity': 12, 'alarm': 0, 'fcc_ah': 120, 'balance_current_ma': 0},
                 counters=list(range(31, 43)))
OTHER_BOARD = ',steady,tail=9,capacity=120,soc=24,cells=4'


def two_boards(bench, *arguments, more='', faithful=False):
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD + more, ADDRESS2 + OTHER_BOARD + more, faithful=faithful)
    set_truth(bench.sim)
    set_truth(bench.sim, ADDRESS2, OTHER)
    return bench.start('--poll.interval=1', ADDRESS + '=first', ADDRESS2 + '=second', *arguments)


def check_both(metrics):
    TRUTH.check(metrics, 'first', legacy_label=True)
    OTHER.check(metrics, 'second', legacy_label=True)


@test
def two(bench):
    """Two batteries are read side by side, and never mixed up."""
    exporter = two_boards(bench)
    check_both(exporter.fresh(2))

    def enough(metrics):
        check_both(metrics)
        return all(metrics('bms_polls_total', battery=b) >= 6 for b in ('first', 'second'))
    metrics = exporter.until(enough, 'six polls of each')
    for battery in ('first', 'second'):
        equal(metrics.sum('bms_poll_failures_total', battery=battery),
              metrics('bms_poll_failures_total', battery=battery, reason='not_connected'),
              'failures of ' + battery)


@test
def spread(bench):
    """The polls of two batteries are spread over the interval."""
    exporter = two_boards(bench)
    exporter.until(lambda m: all(m('bms_polls_total', battery=b) >= 6
                                 for b in ('first', 'second')), 'six polls of each')
    times = {a: [when for when, text in bench.sim.seen('request %s 03' % a)][-1]
             for a in (ADDRESS, ADDRESS2)}
    apart = (times[ADDRESS2] - times[ADDRESS]) % 1
    check(.3 < apart < .7, 'polls of the two are %.2f s apart' % apart)


@test
def one_absent(bench):
    """A battery that is away does not keep the other from being read and renewed."""
    exporter = two_boards(bench, '--session.renew=2', more=',known')
    exporter.fresh(2)
    bench.sim('absent ' + ADDRESS2)
    exporter.logged('warning: second: the connection broke')
    before = exporter.until(lambda m: m('bms_up', battery='second') == 0, 'the second to vanish')
    # Each of its renewals has to wait until the radio is done with looking for the other.
    metrics = exporter.until(
        lambda m: m('bms_link_sessions_total', battery='first', reason='renewal') >=
        before('bms_link_sessions_total', battery='first', reason='renewal') + 2 and
        m('bms_up', battery='first') == 1, 'two renewals of the first', limit=60)
    check_both(metrics)
    bench.sim('present ' + ADDRESS2)
    check_both(exporter.fresh(2, limit=90))


@test
def renewals(bench):
    """The renewals of two batteries do not get into each other's way."""
    exporter = two_boards(bench, '--session.renew=1')
    metrics = exporter.until(
        lambda m: all(m('bms_link_sessions_total', battery=b, reason='renewal') >= 3
                      for b in ('first', 'second')) and sum(m.all('bms_up').values()) == 2,
        'three renewals of each')
    check_both(metrics)
    for battery in ('first', 'second'):
        equal(metrics('bms_link_sessions_total', battery=battery, reason='stall'), 0, 'stalls')


@test
def two_real_times(bench):
    """Two batteries with the real times: both are there soon, one Connect at a time."""
    exporter = two_boards(bench, faithful=True)
    check_both(exporter.fresh(2))


@test
def sixteen(bench):
    """Sixteen batteries, unknown to BlueZ, are all read."""
    addresses = ['A4:C1:38:00:02:%02X' % i for i in range(16)]
    bench.start_bus()
    bench.start_sim(*(a + ',steady' for a in addresses))
    exporter = bench.start('--poll.interval=5', *addresses)
    metrics = exporter.fresh(16)
    equal({dict(labels)['battery'] for labels in metrics.all('bms_voltage')}, set(addresses),
          'batteries')
    bench.sim('adapter off')
    exporter.until(lambda m: sum(m.all('bms_connected').values()) == 0, 'all links to end')
    bench.sim('adapter on')
    exporter.until(lambda m: all(m.sum('bms_link_sessions_total', battery=a) == 2
                                 for a in addresses), 'a second session of each')
    exporter.fresh(16)


@test
def turns(bench):
    """--link=per-poll: eight batteries are connected to for each poll only, and lose none."""
    addresses = ['A4:C1:38:00:02:%02X' % i for i in range(8)]
    bench.start_bus()
    bench.start_sim(*(a + ',steady,known' for a in addresses))
    bench.sim('set link-limit 2')
    exporter = bench.start('--poll.interval=10', '--link=per-poll', *addresses)
    exporter.fresh(8)
    metrics = exporter.until(
        lambda m: all(m('bms_link_sessions_total', battery=a, reason='turn') >= 3
                      for a in addresses) and sum(m.all('bms_up').values()) == 8,
        'three turns of each', limit=90)
    for address in addresses:
        # In the first slot all are connected to at once, one after the other.
        check(metrics.sum('bms_poll_failures_total', battery=address) <= 1, 'lost polls')
        equal(metrics.sum('bms_poll_failures_total', battery=address) -
              metrics('bms_poll_failures_total', battery=address, reason='not_connected'), 0,
              'polls lost in another way')
    equal(metrics.sum('bms_fault'), 0, 'faults')


@test
def links_run_out(bench):
    """When the adapter has no room for another link, batteries begin to take turns."""
    addresses = ['A4:C1:38:00:02:%02X' % i for i in range(4)]
    bench.start_bus()
    bench.start_sim(*(a + ',steady,known' for a in addresses))
    bench.sim('set link-limit 2')
    exporter = bench.start('--poll.interval=4', *addresses)
    exporter.logged('the adapter holds no more connections; batteries take turns')
    exporter.until(lambda m: all(m('bms_link_sessions_total', battery=a, reason='turn') >= 2
                                 for a in addresses) and sum(m.all('bms_up').values()) == 4,
                   'turns of each')
    equal(exporter.count_log('take turns'), 1, 'lines')


def sessions(metrics):
    return metrics.sum('bms_link_sessions_total')


def until_kept(exporter, n, limit=90):
    """Waits until n batteries have been polled six times in one session each."""
    seen = {}

    def kept(metrics):
        began, polls = seen.get(sessions(metrics), (None, {}))
        now = metrics.all('bms_polls_total')
        if began is None or metrics.sum('bms_connected') != n:
            seen.clear()
            seen[sessions(metrics)] = (True, now)
            return False
        return all(now[key] >= polls[key] + 6 for key in now)
    return exporter.until(kept, 'links that are kept', limit)


SHORT = ',steady,known,no-lose-first'


def short_of_links(bench, *arguments):
    bench.start_bus()
    bench.start_sim(ADDRESS + SHORT, ADDRESS2 + SHORT)
    bench.sim('set link-limit 1')
    exporter = bench.start(*arguments, ADDRESS + '=first', ADDRESS2 + '=second')
    exporter.logged('the adapter holds no more connections; batteries take turns')
    return exporter, exporter.until(
        lambda m: all(m('bms_link_sessions_total', battery=b, reason='turn') >= 2
                      for b in ('first', 'second')) and m.sum('bms_up') == 2, 'turns of each')


@test
def links_are_kept_after_reload(bench):
    """link = keep in the file ends the turns that have begun, and loses no poll."""
    path = bench.directory + '/config'

    def write(mode):
        with open(path, 'w') as file:
            file.write('[exporter]\npoll.interval = 1\nlink = %s\n' % mode)
    write('auto')
    exporter, before = short_of_links(bench, '--config=' + path)
    bench.sim('set link-limit 0')
    write('keep')
    exporter.signal(signal.SIGHUP)
    exporter.logged('the options were read again')
    metrics = until_kept(exporter, 2)
    equal(metrics.sum('bms_poll_failures_total'), before.sum('bms_poll_failures_total'),
          'failed polls')
    equal(exporter.count_log('batteries no longer take turns'), 1, 'lines')


@test
def room_comes_back(bench):
    """Turns end a while after the adapter was short of links, and lose no poll."""
    exporter, before = short_of_links(bench, '--poll.interval=1')
    bench.sim('set link-limit 0')
    metrics = until_kept(exporter, 2)
    equal(metrics.sum('bms_poll_failures_total'), before.sum('bms_poll_failures_total'),
          'failed polls')
    exporter.logged('the adapter has had room for all connections', limit=90)
    equal(exporter.count_log('batteries take turns'), 1, 'lines')


@test
def room_does_not_come_back(bench):
    """Where the room stays short, an attempt to keep links loses no poll and is not logged."""
    exporter, before = short_of_links(bench, '--poll.interval=1')

    def tried(metrics):
        return bench.sim.seen('connect-failed')[-1:] != first
    first = bench.sim.seen('connect-failed')[-1:]
    exporter.until(tried, 'an attempt to keep links', limit=90)
    turns = exporter.metrics().sum('bms_link_sessions_total', reason='turn')
    metrics = exporter.until(
        lambda m: m.sum('bms_link_sessions_total', reason='turn') >= turns + 6, 'turns again')
    equal(metrics.sum('bms_poll_failures_total'), before.sum('bms_poll_failures_total'),
          'failed polls')
    equal(exporter.count_log('holds no more connections; batteries'), 1, 'lines')
    equal(exporter.count_log('what helps'), 0, 'lines about the limit')


@test
def links_are_kept(bench):
    """--link=keep does not let go of a link that is there, though there is no room for the others."""
    bench.start_bus()
    bench.start_sim(ADDRESS + ',steady,known', ADDRESS2 + ',steady,known')
    bench.sim('set link-limit 1')
    exporter = bench.start('--poll.interval=1', '--link=keep', ADDRESS + '=first',
                           ADDRESS2 + '=second')
    metrics = exporter.until(lambda m: m('bms_operator_needed', battery='second') == 1,
                             'a call for a person', limit=60)
    equal(metrics('bms_fault', battery='second', fault='limit'), 1, 'fault')
    equal(metrics('bms_up', battery='first'), 1, 'bms_up of the first')
    equal(metrics.sum('bms_link_sessions_total', battery='first'), 1, 'sessions of the first')


@test
def release(bench):
    """SIGUSR1 lets go of all links for a while; then they are read again."""
    exporter = two_boards(bench, '--link.release-time=6', more=',known')
    exporter.fresh(2)
    at = bench.sim.mark()
    exporter.signal(signal.SIGUSR1)
    for address in ADDRESS, ADDRESS2:
        bench.sim.until('disconnected %s local' % address, at)
    exporter.logged('letting go of all batteries for 6 s')
    metrics = exporter.until(lambda m: sum(m.all('bms_up').values()) == 0, 'readings to vanish')
    check_both(metrics)
    equal(metrics.sum('bms_fault'), 0, 'faults')
    check('let go for a while' in exporter.get('/').text, 'the page says nothing')
    failures = metrics.sum('bms_poll_failures_total')
    metrics = exporter.fresh(2)
    check_both(metrics)
    equal(metrics.sum('bms_poll_failures_total'), failures, 'failed polls')
    for battery in ('first', 'second'):
        equal(metrics('bms_link_sessions_total', battery=battery, reason='release'), 1, 'sessions')


@test
def one_faulty(bench):
    """A battery that answers rubbish does no harm to the other one's values."""
    exporter = two_boards(bench)
    exporter.fresh(2)
    bench.sim('fault %s corrupt' % ADDRESS2)

    def gone(metrics):
        check_both(metrics)
        return metrics('bms_up', battery='second') == 0
    metrics = exporter.until(gone, 'the second to vanish')
    equal(metrics('bms_up', battery='first'), 1, 'bms_up of the first')
    equal(metrics.sum('bms_frame_errors_total', battery='first'), 0, 'errors of the first')


@test
def third_unknown(bench):
    """A battery that does not exist is looked for in vain while two others are read."""
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD, ADDRESS2 + OTHER_BOARD)
    set_truth(bench.sim)
    set_truth(bench.sim, ADDRESS2, OTHER)
    exporter = bench.start('--poll.interval=1', ADDRESS3 + '=third', ADDRESS + '=first',
                           ADDRESS2 + '=second')
    metrics = exporter.fresh(2)
    check_both(metrics)
    equal(metrics('bms_up', battery='third'), 0, 'bms_up of the third')
    exporter.logged('warning: third: not found')


run(Bench)
