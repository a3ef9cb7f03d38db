#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""Sound frames whose content is not what it should be, and the bytes that a report about them needs."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

import re

from harness import ADDRESS, Bench, check, equal
from readings import true_board
from tap import run, test

SECRET = 'q8#Z!x'

# 13.18 V, -5 A, 50 of 100 Ah, 50 %, both FETs, 4 cells, 2 sensors at 25 °C.
BASIC = bytes.fromhex('0526fe0c13882710000c2c7c0000000000002a3203040' '20ba50ba5')


def pieces(register, payload):
    """A response with a right checksum, as notifications of 20 bytes for the command "frame"."""
    body = bytes([0, len(payload)]) + payload
    frame = bytes([0xdd, register]) + body + (-sum(body) & 0xffff).to_bytes(2, 'big') + b'\x77'
    return ','.join(frame[i:i + 20].hex() for i in range(0, len(frame), 20))


def answer(bench, register, payload):
    bench.sim('frame %s %02x %s' % (ADDRESS, register, pieces(register, payload)))


def with_byte(at, value):
    return BASIC[:at] + bytes([value]) + BASIC[at + 1:]


@test
def impossible_values(bench):
    """A value that no board can measure is left out alone, everywhere."""
    bench.start_bus()
    bench.start_sim(ADDRESS + ',steady')
    answer(bench, 0x03, with_byte(19, 0xff)[:23] + b'\xff\xff\x0b\xa5')
    exporter = bench.start('--poll.interval=1')
    metrics = exporter.fresh()
    exporter.logged('first readings: .*, state of charge unknown')
    equal(metrics.all('bms_state_of_charge_ratio'), {}, 'state of charge')
    equal(list(metrics.all('bms_temperature_celsius').values()), [25], 'temperatures')
    equal(metrics('bms_pack_voltage_volts'), 13.18, 'voltage')
    check(metrics('bms_values_left_out_total', field='state_of_charge') >= 1, 'not counted')
    check(metrics('bms_values_left_out_total', field='temperature') >= 1, 'not counted')
    page = exporter.get('/').text
    check('255' not in page and '6280' not in page, 'on the page')


def malformed(name, register, payload, words):
    """A test with a board that answers this; words are what has to be said of it."""
    @test
    def function(bench):
        exporter = true_board(bench, '--poll.interval=1')
        exporter.fresh()
        answer(bench, register, payload)
        exporter.logged('warning: .*: ' + re.escape(words) + '; what helps: .*report')
        metrics = exporter.until(lambda m: m('bms_up') == 0, 'stale readings')
        equal(metrics('bms_fault', fault='malformed'), 1, 'the fault')
        check(metrics('bms_frame_errors_total', error='sanity') >= 1, 'not counted')
        equal(metrics('bms_frame_errors_total', error='checksum'), 0, 'checksum errors')
        check(words in exporter.get('/').text, 'not on the page')
        exporter.logged('error: .*' + re.escape(words))
        equal(exporter.count_log('corrupted|inverters|come closer'), 0, 'lines about the radio')
        # A new link would hear the same.
        equal(exporter.metrics().sum('bms_link_sessions_total'), 1, 'sessions')
        bench.sim('frame %s %02x -' % (ADDRESS, register))
        exporter.fresh()
        exporter.logged('readings are back')
    function.__doc__ = name


malformed('Register 03 that is too short', 0x03, BASIC[:22],
          'register 03: 22 bytes, at least 23 expected')
malformed('More sensors announced than sent', 0x03, with_byte(22, 8) + b'\x0b\xa5',
          'register 03: 29 bytes, at least 39 expected for its 8 sensors')
malformed('More cells than there can be', 0x04, bytes.fromhex('0ce4') * 36,
          'register 04: 72 bytes, at most 64 expected')
malformed('Half a cell', 0x04, bytes.fromhex('0ce40ce40c'),
          'register 04: 5 bytes, an even number expected')


@test
def bytes_on_the_wire(bench):
    """At level debug every write and notification is a line that can be put into tests/data."""
    bench.start_bus()
    bench.start_sim(ADDRESS + ',steady')
    answer(bench, 0x03, BASIC)
    exporter = bench.start('--poll.interval=1', '--log.level=debug')
    exporter.fresh()
    wanted = pieces(0x03, BASIC).split(',')
    at = exporter.logged('debug: %s > dda50300fffd77$' % ADDRESS)
    for piece in wanted:
        at = exporter.logged('debug: %s < %s$' % (ADDRESS, piece), at - 1)


@test
def bytes_of_a_password(bench):
    """The bytes of the step that carries the password are not among them; the others are."""
    path = bench.directory + '/passwords'
    with open(path, 'w') as file:
        file.write(SECRET + '\n')
    os.chmod(path, 0o600)
    exporter = true_board(bench, '--battery.password-file=' + path, '--log.level=debug',
                          more=',password=' + SECRET)
    exporter.fresh()
    exporter.logged('> ffaa1506303030303030' '3b$')
    exporter.logged(r'> ffaa1806\*{14}$')
    exporter.logged('< ffaa18010019$')
    equal(exporter.count_log('ffaa1806[0-9a-f]'), 0, 'lines with a password in them')


@test
def quiet_otherwise(bench):
    """At level info no bytes are logged."""
    exporter = true_board(bench, '--poll.interval=1')
    exporter.fresh()
    equal(exporter.count_log('dda503'), 0, 'lines with bytes')


run(Bench)
