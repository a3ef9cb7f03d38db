#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""Started by a service manager before a battery is configured: it runs, and says what to do."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

import html
import re
import signal

from harness import ADDRESS, ADDRESS2, Bench, check, equal
from tap import run, test

THERMOMETER = '11:22:33:44:55:66,name=Thermometer,advertises=181a'


def text_of(exporter):
    """The page as a person reads it."""
    answer = exporter.get('/')
    equal(answer.status, 200, 'status of the page')
    return html.unescape(re.sub('<[^>]*>', '', answer.text))


def empty(bench):
    path = bench.directory + '/empty'
    with open(path, 'w'):
        return path


def line_of(bench, rest):
    return 'ARGS="--config=%s %s"' % (empty(bench), rest)


def start(bench, *arguments, sim=True, batteries=(ADDRESS, THERMOMETER), rules='', **settings):
    bench.start_bus(rules)
    if sim:
        bench.start_sim(*batteries, **settings)
    notify = bench.notify_socket()
    # A file that names none keeps the harness from naming one.
    exporter = bench.start('--config=' + empty(bench), *arguments, env={'NOTIFY_SOCKET': notify.path})
    return exporter, notify


def page_says(bench, exporter, pattern):
    bench.eventually('"%s" on the page' % pattern, lambda: re.search(pattern, text_of(exporter)))


@test
def board_in_range(bench):
    """It is ready, lists the board in range and no other device, and gives the line for the settings."""
    exporter, notify = start(bench, '--metrics.no-legacy')
    notify.until('READY=1')
    exporter.logged('warning: no battery is configured; .*/etc/default/bms-exporter.*'
                    'sudo systemctl restart bms-exporter')
    line = line_of(bench, '--metrics.no-legacy %s=battery' % ADDRESS)
    exporter.logged('found %s .*%s' % (ADDRESS, re.escape(line)))
    page_says(bench, exporter, re.escape(line))
    text = text_of(exporter)
    for wanted in ('No battery configured', ADDRESS, '/etc/default/bms-exporter',
                   'sudo systemctl restart bms-exporter'):
        check(wanted in text, '"%s" is not on the page: %s' % (wanted, text))
    check('Thermometer' not in text, 'the thermometer is on the page')
    notify.until('STATUS=no battery is configured.*%s' % re.escape(line))
    metrics = exporter.metrics()
    equal(metrics.all('bms_up'), {}, 'bms_up')
    equal(exporter.get('/-/ready').status, 200, '/-/ready')
    equal(exporter.stop(), 0, 'exit status')
    equal(exporter.count_log('no battery is configured'), 1, 'times logged')
    equal(exporter.count_log('found '), 1, 'boards logged')
    equal(bench.sim.state()['adapters'][0]['discovering'], False, 'discovering')
    equal(bench.sim.seen('client-gone'), [], 'clients that left a discovery')


@test
def several_boards(bench):
    """Each board gets a name of its own in the line."""
    exporter, _ = start(bench, batteries=(ADDRESS, ADDRESS2))
    page_says(bench, exporter, line_of(bench, '(%s=battery1 %s=battery2|%s=battery1 %s=battery2)' %
                                       (ADDRESS, ADDRESS2, ADDRESS2, ADDRESS)))


@test
def nothing_in_range(bench):
    """Without a board in range the page says what may hide it, and what the line looks like."""
    exporter, notify = start(bench, batteries=(THERMOMETER,))
    page_says(bench, exporter, 'close its app')
    check(line_of(bench, 'ADDRESS=NAME') in text_of(exporter), text_of(exporter))
    notify.until('STATUS=no battery is configured')


@test
def name_is_no_markup(bench):
    """What a board calls itself does not become markup."""
    exporter, _ = start(bench, batteries=(ADDRESS + ',name=<b>xiaoxiang BMS',))
    page_says(bench, exporter, ADDRESS)
    check('<b>xiaoxiang' not in exporter.get('/').text, 'the name has become markup')


@test
def without_bluetooth(bench):
    """What is in the way of a scan is on the page; the scan begins once it is gone."""
    exporter, _ = start(bench, arguments=('--adapter=hci0,off',))
    page_says(bench, exporter, 'adapter is off')
    check(ADDRESS not in text_of(exporter), 'a board without an adapter')
    bench.sim('adapter on')
    page_says(bench, exporter, ADDRESS)
    bench.sim('adapter off')
    page_says(bench, exporter, 'adapter is off')


@test
def scan_forbidden(bench):
    """A discovery that the bus forbids is on the page, with what helps."""
    exporter, _ = start(bench, rules='<deny send_destination="org.bluez" '
                                     'send_interface="org.bluez.Adapter1" send_member="StartDiscovery"/>')
    page_says(bench, exporter, 'Cannot scan: .*container')
    page_says(bench, exporter, 'What helps: ')


@test
def battery_by_reload(bench):
    """A reload after the file has got a battery begins to read it."""
    path = bench.directory + '/conf'
    with open(path, 'w') as conf:
        conf.write('[exporter]\npoll.interval = 500ms\n')
    bench.start_bus()
    bench.start_sim(ADDRESS)
    notify = bench.notify_socket()
    exporter = bench.start('--config=' + path, env={'NOTIFY_SOCKET': notify.path})
    page_says(bench, exporter, ADDRESS)
    with open(path, 'a') as conf:
        conf.write('[%s]\nname = house\n' % ADDRESS)
    exporter.signal(signal.SIGHUP)
    exporter.fresh()
    notify.until('STATUS=house: reading')
    check('No battery configured' not in text_of(exporter), 'still a first run')
    with open(path, 'w') as conf:
        conf.write('[exporter]\n')
    at = len(exporter.log)
    exporter.signal(signal.SIGHUP)
    exporter.logged('the options stay as they were: .*no battery given', at)
    exporter.fresh()


@test
def not_at_a_prompt(bench):
    """Without a service manager it is an error, and --once is one in each case."""
    exporter = bench.start('--config=' + empty(bench))
    equal(exporter.end(), 2, 'exit status')
    exporter.logged('no battery given')
    notify = bench.notify_socket()
    exporter = bench.start('--config=' + empty(bench), '--once', env={'NOTIFY_SOCKET': notify.path})
    equal(exporter.end(), 2, 'exit status of --once')
    exporter.logged('no battery given')


run(Bench)
