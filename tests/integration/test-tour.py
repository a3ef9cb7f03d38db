#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""One process through everything that can happen to it.

It asks for nothing that depends on speed, so that it can run under valgrind: what it shows is that
no path leaks or touches what it must not, which the exporter's exit status tells.
"""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

from harness import Bench, equal
from readings import TRUTH, true_board
from tap import run, test


def fails_in_another_way(bench, exporter, *faults, message):
    """Breaks the link, keeps it from coming up, and lets it go again."""
    at = len(exporter.log)
    bench.sim(*faults)
    bench.sim('fault * drop-now')
    exporter.logged(message, at)
    bench.sim('clear *')
    exporter.fresh()


@test
def tour(bench):
    """Renewals, stalls, damage, losses of everything, odd clients: and at the end nothing is left."""
    exporter = true_board(bench, '--poll.interval=2', '--session.renew=4', '--log.level=debug')
    TRUTH.check(exporter.fresh())
    exporter.until(lambda m: m('bms_link_sessions_total', reason='renewal') >= 2, 'renewals')

    equal(exporter.get('/').status, 200, '/')
    equal(exporter.get('/nothing').status, 404, '/nothing')
    equal(exporter.get('/metrics', 'POST', body=b'x' * 100000).status, 405, 'POST')
    exporter.get(headers={'Accept': 'application/openmetrics-text;version=1.0.0'})

    for fault in ('corrupt 3', 'truncate 3', 'garbage 3', 'double 3', 'echo 4', 'wrong-register 3',
                  'error-status 81 * 3', 'chunk-size 1'):
        at = bench.sim.mark()
        bench.sim('fault * ' + fault)
        bench.sim.until('request .* 04', at)
        exporter.fresh()
        bench.sim('clear *')
    bench.sim('fault * silent')
    exporter.until(lambda m: m('bms_up') == 0, 'readings to vanish')
    bench.sim('clear *')
    exporter.fresh()

    fails_in_another_way(bench, exporter, 'fault * connect-fail org.bluez.Error.Failed busy 2',
                         message='refused while connecting')
    fails_in_another_way(bench, exporter, 'fault * notify-fail org.bluez.Error.Failed no 2',
                         message='subscribe while subscribing')
    fails_in_another_way(bench, exporter, 'fault * write-fail org.bluez.Error.Failed no 2',
                         message='write while connected')
    fails_in_another_way(bench, exporter, 'fault * wrong-services', message='services seen')

    for gone, back, message in (('adapter off', 'adapter on', 'off or blocked'),
                                ('adapter remove', 'adapter add hci3', 'no such'),
                                ('bluez die', 'bluez start', 'is not running'),
                                ('bluez term', 'bluez start', 'is not running')):
        at = len(exporter.log)
        bench.sim(gone)
        exporter.logged(message, at)
        bench.sim(back)
        exporter.fresh()
    TRUTH.check(exporter.fresh())
    equal(exporter.stop(), 0, 'exit status')


run(Bench)
