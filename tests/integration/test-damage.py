#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""Damaged bytes and strange answers: counted for what they are, and never a wrong value served."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

from harness import ADDRESS, Bench, check, equal
from readings import TRUTH, true_board
from tap import run, test


def errors(metrics):
    return {dict(labels)['error']: value
            for labels, value in metrics.all('bms_frame_errors_total').items() if value}


def polls_under(bench, fault, polls=5, until=None):
    """
    Lets some slots pass under a fault, and looks at every scrape on the way.
    Returns the last scrape and the first one after the fault.
    """
    exporter = bench.exporter
    begin = exporter.fresh()
    bench.sim('fault %s %s' % (ADDRESS, fault))

    def enough(metrics):
        TRUTH.check(metrics)
        return (metrics('bms_polls_total') >= begin('bms_polls_total') + polls and
                (until is None or until(metrics)))

    during = exporter.until(enough, '%d slots under "%s"' % (polls, fault))
    bench.sim('clear *')
    # What was on its way is answered under the old rules; then all is well again.
    at = bench.sim.mark()
    for _ in range(3):
        at = bench.sim.until('reply .* 04', at)
    after = exporter.fresh()
    TRUTH.check(after)
    return during, after


def harmless(fault, name, allowed=()):
    """A test that the fault costs no poll, and is not counted but as these errors."""
    @test
    def function(bench):
        # Long slots: on a busy machine an answer may well take longer than one of 1 s leaves it.
        true_board(bench, '--poll.interval=4')
        during, after = polls_under(bench, fault, polls=3)
        equal(during('bms_up'), 1, 'bms_up')
        equal(set(errors(after)) - set(allowed), set(), 'frame errors')
        equal(after.sum('bms_poll_failures_total'), 0, 'failures')
        equal(after.sum('bms_link_sessions_total'), 1, 'sessions')
    function.__doc__ = name


harmless('double', 'Doubled answers are taken once', {'register', 'length'})
harmless('garbage', 'Noise before the frame is skipped', {'length', 'checksum'})
harmless('trailing fcdd77dda50500', 'Trailing bytes, even the echo of a request, do no harm')
harmless('padding 12', 'Padding after the frame does no harm')
harmless('chunk-size 1', 'Frames in pieces of one byte are put together')
harmless('chunk-size 244', 'Frames in one piece are taken')
harmless('late 0.15', 'Answers that are a little late are waited for')


def counted(fault, error, name, **settings):
    """A test that the fault is counted as this error, and that the slots fail while it lasts."""
    @test
    def function(bench):
        true_board(bench)
        _, after = polls_under(
            bench, fault, until=lambda m: m('bms_up') == 0 and
            m.sum('bms_link_sessions_total') >= 2, **settings)
        found = errors(after)
        check(found.get(error, 0) >= 3, 'frame errors: %s' % found)
        equal(set(found) - {error}, set(), 'other frame errors')
        check(after('bms_link_sessions_total', reason='stall') >= 1, 'no stall counted')
    function.__doc__ = name


counted('corrupt', 'checksum', 'Answers with a flipped bit count as checksum errors')
counted('truncate', 'length', 'Answers without their end count as length errors')
counted('wrong-register', 'register', 'Answers of another register count as such')
counted('echo', 'echo', 'A board that echoes the request counts as such')


@test
def one_damaged(bench):
    """One damaged answer is counted and asked for again, within its slot."""
    exporter = true_board(bench, '--poll.interval=4')
    exporter.until(lambda m: m.all('bms_protection_events_total'), 'the first round')
    bench.sim('fault * corrupt 1')
    metrics = exporter.until(lambda m: errors(m) == {'checksum': 1}, 'a checksum error')
    TRUTH.check(metrics)
    at = bench.sim.mark()
    for _ in range(2):
        at = bench.sim.until('reply .* 04', at)
    metrics = exporter.metrics()
    equal(metrics.sum('bms_poll_failures_total'), 0, 'failures')
    equal(errors(metrics), {'checksum': 1}, 'frame errors')


@test
def wrong_length(bench):
    """Answers with a wrong length are refused, whatever the length is."""
    true_board(bench)
    _, after = polls_under(bench, 'corrupt-length', polls=8,
                           until=lambda m: m('bms_up') == 0)
    found = errors(after)
    check(sum(found.values()) >= 3, 'frame errors: %s' % found)
    equal(set(found) - {'length', 'checksum'}, set(), 'other frame errors')


@test
def echo_then_answer(bench):
    """A board that echoes the request before each answer is read all the same."""
    true_board(bench, '--poll.interval=1')
    during, after = polls_under(bench, 'echo-then-answer')
    equal(during('bms_up'), 1, 'bms_up')
    equal(set(errors(after)), {'echo'}, 'frame errors')
    equal(after.sum('bms_poll_failures_total'), 0, 'failures')


@test
def late_answers(bench):
    """Answers that come after the question was repeated bring no wrong value."""
    true_board(bench)
    polls_under(bench, 'late 0.45', polls=10)


@test
def backwards(bench):
    """Notifications in the wrong order bring no wrong value."""
    true_board(bench)
    polls_under(bench, 'swap-order', polls=8)


@test
def refusals(bench):
    """A board that refuses is told of as such, and its link is kept."""
    exporter = true_board(bench)
    during, after = polls_under(bench, 'error-status 81 03', until=lambda m: m('bms_up') == 0)
    check(during('bms_poll_failures_total', reason='status') > 0, 'no failure counted as status')
    equal(set(errors(after)), {'status'}, 'frame errors')
    equal(after.sum('bms_link_sessions_total'), 1, 'sessions')
    exporter.logged('warning: .* it refuses reads')


@test
def nonsense(bench):
    """A sound frame that holds no readings is refused as such."""
    exporter = true_board(bench)
    exporter.fresh()
    # Register 03 with 4 bytes of payload; register 04 with an odd number.
    bench.sim('frame %s 03 dd03000401020304fff277' % ADDRESS)
    metrics = exporter.until(lambda m: m('bms_up') == 0, 'readings to vanish')
    TRUTH.check(metrics)
    check(errors(metrics).get('sanity', 0) > 0, 'frame errors: %s' % errors(metrics))
    bench.sim('frame %s 03 -' % ADDRESS)
    TRUTH.check(exporter.fresh())
    before = errors(exporter.metrics())['sanity']
    bench.sim('frame %s 04 dd040003010203fff777' % ADDRESS)
    TRUTH.check(exporter.until(lambda m: errors(m)['sanity'] > before, 'another refusal'))


@test
def silent_from_the_start(bench):
    """A board that never answers is said to be silent."""
    exporter = true_board(bench)
    bench.sim('fault * silent')
    metrics = exporter.until(lambda m: m('bms_poll_failures_total', reason='timeout') >= 2,
                             'time-outs')
    equal(metrics('bms_up'), 0, 'bms_up')
    TRUTH.check(metrics)
    exporter.logged('warning: .* connected but silent: asleep, or it asks for a password')


@test
def asks_for_a_password(bench):
    """A board that wants a password ignores requests and drops the link: no harm, no attack."""
    exporter = true_board(bench, more=',password=123456')
    bench.sim('fault * password 6')  # s; real ones wait 10
    exporter.logged('warning: .* (silent|password)')
    metrics = exporter.until(lambda m: m.sum('bms_link_sessions_total') >= 2, 'another try')
    equal(metrics('bms_up'), 0, 'bms_up')
    equal(bench.sim.battery()['passwords'], 0, 'guesses')


@test
def echoing_board_is_told(bench):
    """A board that only echoes, whatever it is sent, is said to want to be paired."""
    exporter = true_board(bench)
    bench.sim('fault * echo')
    exporter.logged('warning: .* it wants to be paired')
    equal(exporter.metrics()('bms_up'), 0, 'bms_up')


@test
def other_make(bench):
    """A board of another make is told of as such, and not as silent."""
    exporter = true_board(bench)
    bench.sim('frame ' + ADDRESS + ' 03 d2037c10230000000000000000000000000000,00000000')
    exporter.logged('warning: .* it speaks another protocol than JBD boards do: that of Daly')
    metrics = exporter.until(lambda m: m.sum('bms_link_sessions_total') >= 2, 'another try')
    equal(metrics('bms_up'), 0, 'bms_up')
    equal(exporter.count_log('silent'), 0, 'lines that it is silent')
    bench.sim('frame ' + ADDRESS + ' 03 -')
    TRUTH.check(exporter.fresh())


@test
def hostile_model(bench):
    """A model that is no text, but quotes, HTML and broken UTF-8, is served harmlessly."""
    exporter = true_board(bench, '--poll.interval=1')
    text = b'<b>"\\\n\xff\xc3(\x01&\'\xe2\x80\xae'
    payload = bytes([0, len(text)]) + text
    frame = b'\xdd\x05' + payload + (-sum(payload) & 0xffff).to_bytes(2, 'big') + b'\x77'
    bench.sim('frame %s 05 %s' % (ADDRESS, ','.join(frame[i:i + 20].hex()
                                                    for i in range(0, len(frame), 20))))
    metrics = exporter.until(lambda m: m.labels('bms_info').get('model'), 'a model')
    TRUTH.check(metrics)
    model = metrics.labels('bms_info')['model']
    check(model.startswith('<b>"\\\n'), 'model: %r' % model)
    check('\ufffd' in model, 'bytes that are no UTF-8: %r' % model)
    page = exporter.get('/').text  # decoding it is a test, too
    check('<b>"' not in page and '&lt;b&gt;' in page, 'the page is not escaped')
    check(model.isprintable() or '\x01' not in page, 'control characters in the page')


run(Bench)
