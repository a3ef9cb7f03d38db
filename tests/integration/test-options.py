#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""The command line: what is wrong ends it at once with status 2 and one line that says so."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

import re
import subprocess

from harness import ADDRESS, ADDRESS2, EXPORTER, WRAPPER, SLOWDOWN, Bench, check, equal
from tap import run, test


def call(*arguments):
    return subprocess.run(WRAPPER + [EXPORTER] + list(arguments), capture_output=True,
                          timeout=20 * SLOWDOWN)


def lines_of(result):
    return [line for line in result.stderr.decode('utf-8', 'backslashreplace').split('\n')
            if line and not line.startswith('==')]


def wrong(name, expected, *arguments):
    @test
    def function(bench):
        result = call(*arguments)
        lines = lines_of(result)
        equal(result.returncode, 2, 'exit status')
        equal(result.stdout, b'', 'standard output')
        equal(len(lines), 1, 'lines on standard error: %s' % lines)
        check(lines[0].startswith('bms-exporter: '), lines[0])
        check(re.search(expected, lines[0]), '"%s" is not in: %s' % (expected, lines[0]))
        check('\x1b' not in lines[0], 'control characters')
    function.__doc__ = 'wrong: ' + name


wrong('no battery', 'no battery given; .*A4:C1:38')
wrong('an empty address', '"" is not a Bluetooth address', '')
wrong('a word', '"battery" is not a Bluetooth address; for example', 'battery')
wrong('an address that is too short', 'is not a Bluetooth address', 'A4:C1:38:00:00')
wrong('an address that is too long', 'is not a Bluetooth address', ADDRESS + ':01')
wrong('an address with a digit too few', 'is not a Bluetooth address', 'A4:C1:38:00:00:1')
wrong('an address with dashes', 'is not a Bluetooth address', ADDRESS.replace(':', '-'))
wrong('an address without colons', 'is not a Bluetooth address', ADDRESS.replace(':', ''))
wrong('an address with a letter', 'is not a Bluetooth address', 'G4:C1:38:00:00:01')
wrong('an address with a blank', 'is not a Bluetooth address', ADDRESS + ' ')
wrong('an address with a newline', 'is not a Bluetooth address', ADDRESS + '\n')
wrong('the same address twice', ADDRESS + ' is listed twice', ADDRESS, ADDRESS)
wrong('the same address twice, in another case', 'is listed twice', ADDRESS, ADDRESS.lower())
wrong('the same name twice', 'the name "x" is used for two', ADDRESS + '=x', ADDRESS2 + '=x')
wrong('an address as the name of another', 'is used for two', ADDRESS, ADDRESS2 + '=' + ADDRESS)
wrong('a name in another normalization', 'is used for two', ADDRESS + '=caf\u00e9',
      ADDRESS2 + '=cafe\u0301')
wrong('an address as the name of another, in another case', 'is used for two', ADDRESS,
      ADDRESS2 + '=' + ADDRESS.lower())
wrong('a name with a C1 control', 'control characters', ADDRESS + '=a\u0085b')
wrong('two names that differ in C1 controls', 'control characters', ADDRESS + '=a\u0080b',
      ADDRESS2 + '=a\u009fb')
wrong('a name that turns the text', 'control characters', ADDRESS + '=a\u202eb')
wrong('a name with a line separator', 'control characters', ADDRESS + '=a\u2028b')
wrong('an empty name', 'a name has 1 to', ADDRESS + '=')
wrong('a name that is too long', 'a name has 1 to', ADDRESS + '=' + 'x' * 64)
wrong('a name with a double quote', 'may not contain quotes', ADDRESS + '=a"b')
wrong('a name with a single quote', 'may not contain quotes', ADDRESS + "=a'b")
wrong('a name with a backslash', 'may not contain quotes', ADDRESS + '=a\\b')
wrong('a name with a newline', 'control characters', ADDRESS + '=a\nb')
wrong('a name with an escape', 'control characters', ADDRESS + '=a\x1b[31mb')
wrong('a name that is no UTF-8', '', (ADDRESS + '=').encode() + b'\xff\xfe')
wrong('more batteries than it takes', 'more than 128 batteries',
      *('A4:C1:38:00:01:%02X' % i for i in range(129)))

for option in ('--poll.interval', '--session.renew'):
    for value in ('', 'x', '10x', '-1', '1 0', 'nan', 'inf', '0x10', '1e400', '10s5', '+5', '10 s'):
        wrong('%s "%s"' % (option, value), option, '%s=%s' % (option, value), ADDRESS)
wrong('an interval of zero', r'--poll.interval: 0 is out of range \(0.5 s to 3600 s\)',
      '--poll.interval=0', ADDRESS)
wrong('an interval that is too short', 'out of range', '--poll.interval=499ms', ADDRESS)
wrong('an interval that is too long', 'out of range', '--poll.interval=61m', ADDRESS)
wrong('a renewal that is too short', 'out of range', '--session.renew=0.5', ADDRESS)
wrong('a renewal that is too long', 'out of range', '--session.renew=8000h', ADDRESS)
wrong('an interval without its value', 'poll.interval', ADDRESS, '--poll.interval')

for address, why in (('', 'port is missing'), ('8000', '":8000"'), (':', 'port is missing'),
                     (':0', 'out of range'), (':65536', 'out of range'), (':-1', 'not a number'),
                     (':99999999999999999999', 'out of range'), (':http', 'not a number'),
                     ('127.0.0.1', 'port is missing'), ('127.0.0.1:', 'port is missing'),
                     ('300.0.0.1:8000', 'not a numeric'), ('example.com:8000', 'not looked up'),
                     ('::1:8000', 'needs brackets'), ('[::1]', 'port is missing'),
                     ('[::1]8000', 'written'), ('[::g]:8000', 'not an IPv6'), ('[]:8000', ''),
                     (':8000\n', ''), (' :8000', '')):
    wrong('--web.listen-address "%s"' % address.replace('\n', '\\n'),
          '--web.listen-address: .*' + why, '--web.listen-address=' + address, ADDRESS)
wrong('a second listen address', 'out of range', '--web.listen-address=127.0.0.1:1',
      '--web.listen-address=:0', ADDRESS)

for path in ('', 'metrics', '/', '/a b', '/a?b', '/a#b', '/"', '/<', '/%41', '/ä', '/\n', '/-/x',
             '/' + 'x' * 255):
    wrong('--web.telemetry-path "%s"' % path[:20].replace('\n', '\\n'), '--web.telemetry-path: ',
          '--web.telemetry-path=' + path, ADDRESS)
for adapter in ('', 'hci', 'hcix', 'eth0', 'hci0 ', 'hci12345', '00:1A:7D:DA:71',
                '/org/bluez/hci0'):
    wrong('--adapter "%s"' % adapter, '--adapter: ', '--adapter=' + adapter, ADDRESS)
for level in ('', 'verbose', 'INFO', '7'):
    wrong('--log.level "%s"' % level, 'none of debug, info, warn, error', '--log.level=' + level,
          ADDRESS)
wrong('an unknown option', 'Unknown option --frobnicate', '--frobnicate', ADDRESS)
wrong('an unknown short option', '-x', '-x', ADDRESS)
wrong('a switch with a value', '', '--once=maybe', ADDRESS)
wrong('a check with a value', '--check takes no value', '--check=' + ADDRESS)
for value in ('', 'x', '0', '0.9', '301', '6m', '-1'):
    wrong('--scan "%s"' % value, '--scan: ', '--scan=' + value)
wrong('a scan for a battery', '--scan takes no battery, .*: bms-exporter --check ' + ADDRESS,
      '--scan=5', ADDRESS)
wrong('a scan of an address', '--scan takes no battery, .*: bms-exporter --check ' + ADDRESS,
      '--scan', ADDRESS)
wrong('a scan of a battery', '--scan takes no battery, .*: bms-exporter --check %s=x' % ADDRESS,
      '--scan=%s=x' % ADDRESS)
wrong('two modes', 'only one of', '--scan', '--check')
wrong('two others', 'only one of', '--once', '--scan')
wrong('two other modes', 'only one of', '--once', '--check', ADDRESS)
wrong('a check of a word', 'is not a Bluetooth address', '--check', 'battery')
wrong('a scan with a wrong adapter', '--adapter: ', '--scan', '--adapter=eth0')


@test
def help_text(bench):
    """--help explains every option on standard output, and exits with 0"""
    result = call('--help')
    equal((result.returncode, lines_of(result)), (0, []), 'exit status and standard error')
    text = result.stdout.decode()
    for option in ('--web.listen-address', '--web.telemetry-path', '--adapter', '--poll.interval',
                   '--session.renew', '--metrics.no-legacy', '--log.level', '--once', '--scan', '--check',
                   '--version',
                   'ADDRESS[=NAME]'):
        check(option in text, option + ' is not explained')


@test
def version(bench):
    """--version prints one line on standard output, and exits with 0"""
    result = call('--version')
    equal((result.returncode, lines_of(result)), (0, []), 'exit status and standard error')
    check(re.fullmatch(r'bms-exporter \d+\.\d+\.\d+ \(\S+\)\n', result.stdout.decode()),
          'version: %r' % result.stdout)


@test
def good_values(bench):
    """Everything that is right is taken"""
    for arguments in (('--poll.interval=500ms',), ('--poll.interval=1h',), ('--session.renew=0',),
                      ('--session.renew', '10m'), ('--adapter=hci12',), ('--log.level=debug',),
                      ('--adapter=aa:bb:cc:dd:ee:ff',), ('--web.telemetry-path=/a/b-c_d',),
                      ('--metrics.no-legacy',), (ADDRESS2 + '=ü' + 'x' * 61,),
                      (ADDRESS2 + '=\U0001f50b\ufe0f',)):
        # With --once and no bus it ends by itself, with status 1: past the command line.
        exporter = bench.start('--once', *arguments, ADDRESS, hand_over=False)
        equal(exporter.end(), 1, 'exit status with %s: %s' % (arguments, exporter.log))
        check(exporter.count_log('no readings') >= 1, 'no reason')


run(Bench)
