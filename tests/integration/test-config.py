#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""The configuration file, and reading it again."""
import os
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

from harness import ADDRESS, ADDRESS2, ADDRESS3, Bench, check, equal
from readings import TRUE_BOARD, TRUTH, set_truth
from tap import run, test


class Conf:
    def __init__(self, bench, text):
        self.path = os.path.join(bench.directory, 'conf')
        self.write(text)

    def write(self, text):
        with open(self.path, 'w', encoding='utf-8') as file:
            file.write(text)

    @property
    def option(self):
        return '--config=' + self.path


def group(address, **keys):
    return '[%s]\n%s\n' % (address, '\n'.join('%s = %s' % each for each in keys.items()))


EXPORTER = '[exporter]\npoll.interval = 1\n'


def three_boards(bench, text, *arguments):
    """Bus, sim and exporter with a file instead of addresses."""
    bench.start_bus()
    bench.start_sim(*(a + TRUE_BOARD for a in (ADDRESS, ADDRESS2, ADDRESS3)))
    set_truth(bench.sim)
    conf = Conf(bench, text)
    bench.start(conf.option, *arguments)
    return conf


def batteries(metrics):
    return sorted(dict(labels)['battery'] for labels in metrics.all('bms_up'))


def refuses(bench, text, pattern, *arguments):
    conf = Conf(bench, text)
    exporter = bench.start(conf.option, *arguments)
    equal(exporter.end(), 2, 'exit status')
    exporter.logged(pattern)
    equal(len(exporter.lines), 1, 'lines')


def reload(bench, conf, text, line):
    before = bench.exporter.count_log(line)
    conf.write(text)
    bench.exporter.signal(signal.SIGHUP)
    bench.eventually('the log line "%s"' % line,
                     lambda: bench.exporter.count_log(line) > before)


@test
def read_from_file(bench):
    """Options and batteries come from the file, each battery with its own name and interval."""
    three_boards(bench, EXPORTER + 'metrics.no-legacy = true\n# a comment\n' +
                 group(ADDRESS, name='the house') +
                 group(ADDRESS2.lower(), **{'poll.interval': '4s', 'session.renew': '0'}))
    metrics = bench.exporter.fresh(2)
    equal(batteries(metrics), sorted(['the house', ADDRESS2]), 'batteries')
    TRUTH.check(metrics, 'the house', legacy=False)
    equal(metrics.all('bms_voltage'), {}, 'names of bms-shed')
    metrics = bench.exporter.until(lambda m: m('bms_polls_total', battery='the house') >= 9, 'polls')
    check(metrics('bms_polls_total', battery=ADDRESS2) <= 4, 'polls of the slower one')


@test
def command_line_wins(bench):
    """An option of the command line takes the place of the file's; batteries of both are read."""
    three_boards(bench, '[exporter]\npoll.interval = 1h\nlog.level = debug\n' +
                 group(ADDRESS, name='house'), '--poll.interval=1', ADDRESS2 + '=starter')
    exporter = bench.exporter
    equal(batteries(exporter.fresh(2)), ['house', 'starter'], 'batteries')
    exporter.until(lambda m: m('bms_polls_total', battery='house') >= 3, 'polls')
    exporter.logged('connecting$')  # a line of level debug


@test
def batteries_come_and_go(bench):
    """SIGHUP: a new battery is read, a removed one let go, the one that stays loses no poll."""
    conf = three_boards(bench, EXPORTER + group(ADDRESS, name='house') + group(ADDRESS2))
    exporter = bench.exporter
    exporter.fresh(2)
    before = exporter.until(lambda m: m('bms_polls_total', battery='house') >= 3, 'polls')
    at = bench.sim.mark()
    reload(bench, conf, EXPORTER + group(ADDRESS3) + group(ADDRESS, name='home'),
           'the options were read again: 2 batteries')
    bench.sim.until('disconnected %s local' % ADDRESS2, at)
    metrics = exporter.until(
        lambda m: batteries(m) == sorted(['home', ADDRESS3]) and sum(m.all('bms_up').values()) == 2,
        'the others')
    TRUTH.check(metrics, 'home', legacy_label=True)
    equal(metrics.sum('bms_link_sessions_total', battery='home'), 1, 'sessions')
    equal(metrics.sum('bms_poll_failures_total', battery='home'),
          before.sum('bms_poll_failures_total', battery='house'), 'failed polls')
    check(metrics('bms_polls_total', battery='home') >= before('bms_polls_total', battery='house'),
          'polls are counted anew')
    equal(bench.sim.seen('disconnected ' + ADDRESS, at), [], 'links of the one that stays')
    # And back again, while the other one is still on its way out.
    reload(bench, conf, EXPORTER + group(ADDRESS2), 'again: 1 batteries')
    reload(bench, conf, EXPORTER + group(ADDRESS) + group(ADDRESS3), 'again: 2 batteries')
    exporter.until(lambda m: batteries(m) == [ADDRESS, ADDRESS3] and
                   sum(m.all('bms_up').values()) == 2, 'all to be read')
    equal(exporter.stop(), 0, 'exit status')


@test
def other_interval(bench):
    """SIGHUP: another interval holds at once, over the same link."""
    conf = three_boards(bench, '[exporter]\npoll.interval = 1h\n' + group(ADDRESS))
    exporter = bench.exporter
    exporter.fresh()
    reload(bench, conf, EXPORTER + group(ADDRESS), 'read again')
    metrics = exporter.until(lambda m: m('bms_polls_total') >= 5, 'polls')
    equal(metrics.sum('bms_link_sessions_total'), 1, 'sessions')
    equal(metrics.sum('bms_poll_failures_total'), 0, 'failed polls')


@test
def mistake_keeps_the_old(bench):
    """SIGHUP: with a mistake in the file everything stays as it was, and the log says why."""
    conf = three_boards(bench, EXPORTER + group(ADDRESS, name='house'))
    exporter = bench.exporter
    exporter.fresh()
    for text, reason in ((EXPORTER + '[A4:C1]\n', 'is not a Bluetooth address'),
                         ('[exporter]\npoll.interval = 1 parsec\n' + group(ADDRESS), 'is not a time'),
                         ('rubbish', 'conf: '), (EXPORTER, 'no battery given')):
        reload(bench, conf, text, 'error: the options stay as they were: .*' + reason)
    os.unlink(conf.path)
    exporter.signal(signal.SIGHUP)
    exporter.logged('cannot be opened: No such file')
    metrics = exporter.fresh()
    equal(batteries(metrics), ['house'], 'batteries')
    equal(metrics.sum('bms_link_sessions_total'), 1, 'sessions')
    equal(metrics.sum('bms_poll_failures_total'), 0, 'failed polls')


@test
def what_takes_a_start(bench):
    """SIGHUP: what is built once is told of and left as it is."""
    conf = three_boards(bench, EXPORTER + group(ADDRESS))
    exporter = bench.exporter
    exporter.fresh()
    reload(bench, conf, EXPORTER + 'adapter = hci7\nweb.telemetry-path = /m\n'
           'web.listen-address = localhost:1\n' + group(ADDRESS), 'read again')
    for option in ('adapter', 'web.telemetry-path', 'web.listen-address'):
        exporter.logged('--%s is another now; that takes effect at the next start' % option)
    exporter.fresh()
    equal(exporter.metrics().sum('bms_link_sessions_total'), 1, 'sessions')


@test
def service_manager(bench):
    """The service manager is told that options are read again, and when that is done."""
    socket = bench.notify_socket()
    bench.start_bus()
    bench.start_sim(ADDRESS + TRUE_BOARD)
    conf = Conf(bench, group(ADDRESS))
    exporter = bench.start(conf.option, env={'NOTIFY_SOCKET': socket.path})
    at = socket.until('READY=1')
    exporter.signal(signal.SIGHUP)
    at = socket.until('RELOADING=1', at)
    socket.until('READY=1', at)


def mistake(name, text, pattern):
    @test
    def function(bench):
        bench.start_bus()
        refuses(bench, text, pattern)
    function.__doc__ = 'A file with a mistake is refused: ' + name


mistake('a name with a C1 control', '[%s]\nname = a\u0085b\n' % ADDRESS, 'control characters')
mistake('unknown option', '[exporter]\npoll.intervall = 1\n' + group(ADDRESS),
        r'\[exporter\] poll.intervall: there is no such setting')
mistake('what is no setting', '[exporter]\nonce = true\n' + group(ADDRESS),
        r'\[exporter\] once: there is no such setting')
mistake('a switch that is neither', '[exporter]\nrecover.power-cycle = maybe\n' + group(ADDRESS),
        'recover.power-cycle: say true or false')
mistake('unknown key of a battery', group(ADDRESS, colour='red'),
        'colour: a battery has name, poll.interval and session.renew')
mistake('twice the same battery', group(ADDRESS) + group(ADDRESS.lower()), 'is listed twice')
mistake('a bad interval of a battery', group(ADDRESS, **{'poll.interval': '1ms'}), 'out of range')
mistake('no group', 'poll.interval = 1\n', 'conf: ')
mistake('control characters', '[exporter]\nlog.level = a\\nb\n' + group(ADDRESS), 'none of debug')
mistake('bytes that are no UTF-8', '[exporter]\nadapter = \udcff\n'.encode(
    'utf-8', 'surrogateescape').decode('latin-1') + group(ADDRESS), 'neither a name like hci0')
mistake('too long', '# %s\n' % ('x' * 70000), 'longer than 64 KiB')


@test
def no_file(bench):
    """A file that is none is refused without waiting for it: a FIFO, a directory, one that is not there."""
    bench.start_bus()
    fifo = os.path.join(bench.directory, 'fifo')
    os.mkfifo(fifo)
    for path, pattern in ((fifo, 'is not a regular file'),
                          (bench.directory, 'is not a regular file'),
                          ('/nonexistent', 'cannot be opened: No such file')):
        exporter = bench.start('--config=' + path)
        equal(exporter.end(), 2, 'exit status')
        exporter.logged(pattern)


run(Bench)
