#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""From nothing to the first values, and the rhythm after them."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

from harness import ADDRESS, Bench, check, equal
from readings import TRUTH, Readings, load_frames, true_board
from tap import run, test


@test
def first_values(bench):
    """The first values are the board's, under both families of names."""
    exporter = true_board(bench, '--poll.interval=1')
    metrics = exporter.fresh()
    TRUTH.check(metrics)
    exporter.logged('bms-exporter: %s: first readings: 8 cells, 26.54 V, -12.34 A, 63 %%' % ADDRESS)
    equal(metrics('bms_connected'), 1, 'bms_connected')
    metrics = exporter.until(lambda m: m.all('bms_protection_events_total'), 'counters')
    TRUTH.check(metrics)
    equal(metrics('bms_restarts_total'), 22, 'bms_restarts_total')
    info = metrics.labels('bms_info')
    equal(info, {'battery': ADDRESS, 'address': ADDRESS, 'model': 'JBD-SP04S034-L8S-100A-B-U',
                 'firmware': '2.10', 'production_date': '2023-05-17'}, 'bms_info')
    equal(metrics('bms_link_sessions_total', reason='start'), 1, 'first sessions')
    equal(metrics.sum('bms_link_sessions_total'), 1, 'sessions')


@test
def counters_from_start(bench):
    """What can be known before any reading is there from the start."""
    bench.start_bus()
    bench.start_sim(ADDRESS + ',absent')
    metrics = bench.start().metrics()
    equal(metrics('bms_up'), 0, 'bms_up')
    equal(metrics('bms_connected'), 0, 'bms_connected')
    for name, label, values in (
            ('bms_poll_failures_total', 'reason',
             ('not_connected', 'timeout', 'link_loss', 'frame', 'status', 'missed')),
            ('bms_frame_errors_total', 'error',
             ('checksum', 'length', 'echo', 'status', 'register', 'sanity')),
            ('bms_link_sessions_total', 'reason',
             ('start', 'renewal', 'stall', 'link_loss', 'adapter', 'bluez'))):
        for value in values:
            equal(metrics(name, **{label: value}), 0, '%s %s' % (name, value))
    equal(metrics('bms_charge_energy_joules_total'), 0, 'energy')
    equal(metrics('bms_last_success_timestamp_seconds'), None, 'time of a success')
    TRUTH.check(metrics)


@test
def names_of_bms_shed_off(bench):
    """--metrics.no-legacy leaves the names of bms-shed out and nothing else."""
    exporter = true_board(bench, '--metrics.no-legacy')
    metrics = exporter.fresh()
    TRUTH.check(metrics, legacy=False)
    equal(metrics('bms_voltage'), None, 'bms_voltage')
    equal(metrics('bms_last_update'), None, 'bms_last_update')


@test
def named_battery(bench):
    """A battery's name is its label; the names of bms-shed stay without one."""
    exporter = true_board(bench, ADDRESS.lower() + '=Haus ü {1}')
    metrics = exporter.fresh()
    TRUTH.check(metrics, battery='Haus ü {1}')
    equal(metrics.labels('bms_info')['address'], ADDRESS, 'address')
    equal(list(metrics.all('bms_voltage')), [frozenset()], 'labels of bms_voltage')


@test
def captured_frames(bench):
    """Frames captured from real boards are served as what they mean."""
    frames = load_frames()
    # 03, 04, AA of one board each, or where no cells were captured, of one that fits.
    sets = [('v000', 'v001', 'v005'), ('v003', 'v004', None), ('v007', 'v008', None),
            ('v009', 'v010', 'v012'), ('v013', 'v010', None), ('v014', 'v010', None),
            ('v015', 'v010', None), ('v016', 'v017', None), ('v019', 'v020', None),
            ('v021', 'v023', 'v024'), ('v028', 'v023', None), ('v035', 'v010', None),
            ('v038', 'v010', None), ('v044', 'v083', None), ('v047', 'v020', None),
            ('v049', 'v008', None), ('v052', 'v053', None), ('v068', 'v020', None),
            ('v084', 'v083', 'v085')]
    addresses = ['A4:C1:38:00:01:%02X' % i for i in range(len(sets))]
    bench.start_bus()
    bench.start_sim(*(a + ',known,no-lose-first,noaa,no05' if not s[2] else
                      a + ',known,no-lose-first,no05' for a, s in zip(addresses, sets)))
    for address, ids in zip(addresses, sets):
        for register, name in zip(('03', '04', 'aa'), ids):
            if name:
                bench.sim('frame %s %s %s' % (address, register, ','.join(frames[name]['chunks'])))
    exporter = bench.start('--poll.interval=10', *addresses)
    exporter.fresh(len(sets))
    metrics = exporter.until(
        lambda m: len({dict(labels)['battery'] for labels in m.all('bms_protection_events_total')})
        == len([s for s in sets if s[2]]), 'counters')
    for address, ids in zip(addresses, sets):
        basic, cells, counters = (frames[i]['decoded'] if i else None for i in ids)
        Readings.of_frames(basic, cells, counters).check(metrics, address, legacy_label=True)
        labels = metrics.all('bms_info', battery=address)
        info = dict(list(labels)[0])
        equal(info.get('firmware'), basic['sw'], 'firmware in %s' % ids[0])
        no_date = basic['date'] == '2000-00-00'
        equal(info.get('production_date', ''), '' if no_date else basic['date'],
              'date in %s' % ids[0])


@test
def closed_descriptors(bench):
    """Descriptors 0 to 2 that are closed at the start are not taken by sockets"""
    bench.start_bus()
    bench.start_sim(ADDRESS + ',steady')
    exporter = bench.start(wrapper=['sh', '-c', 'exec "$@" <&- >&- 2>&-', 'sh'])
    exporter.fresh()
    equal([os.readlink('/proc/%d/fd/%d' % (exporter.child.pid, fd)) for fd in range(3)],
          ['/dev/null'] * 3, 'descriptors 0 to 2')


@test
def some_closed_descriptors(bench):
    """Descriptors that are open at the start stay what they are"""
    bench.start_bus()
    bench.start_sim(ADDRESS + ',steady')
    exporter = bench.start(wrapper=['sh', '-c', 'exec "$@" <&- >&-', 'sh'])
    exporter.fresh()
    exporter.logged('first readings')
    equal([os.readlink('/proc/%d/fd/%d' % (exporter.child.pid, fd)) for fd in range(2)],
          ['/dev/null'] * 2, 'descriptors 0 and 1')


@test
def cadence(bench):
    """One pair of requests goes out in each slot, and each slot is counted."""
    exporter = bench.up('--poll.interval=1')
    exporter.fresh()
    begin = bench.sim.until('reply .* aa')
    before = exporter.metrics()
    at = begin
    for _ in range(6):
        at = bench.sim.until('reply .* 04', at)
    after = exporter.metrics()
    asked = [text.split()[2] for when, text in bench.sim.seen('request', begin)]
    equal(asked[:12], ['03', '04'] * 6, 'registers asked for')
    equal(after.sum('bms_poll_failures_total'), before.sum('bms_poll_failures_total'), 'failures')
    slots = after('bms_polls_total') - before('bms_polls_total')
    check(6 <= slots <= 7, '%d slots were counted for 6 polls' % slots)


@test
def polls_are_slots(bench):
    """Each slot that has passed is either a poll with readings or a failure."""
    exporter = bench.up()
    exporter.fresh()
    # Some of them may hit 05 and AA, which make no poll fail.
    bench.sim('fault * no-answer 10')
    exporter.until(lambda m: m('bms_link_sessions_total', reason='stall') >= 1 and
                   m('bms_up') == 1, 'a stall and its end')
    metrics = exporter.until(lambda m: m('bms_polls_total') >= 12, 'twelve slots')
    failed = metrics.sum('bms_poll_failures_total')
    check(failed > 0, 'no failure was counted')
    replies = metrics('bms_poll_duration_seconds_count')
    # A session's first poll comes in a slot that may have had its own; the last slot is running.
    check(0 <= failed + replies - metrics('bms_polls_total') + 1 <= 2,
          '%s polls, %s failures, %s successes' % (metrics('bms_polls_total'), failed, replies))


@test
def missing_registers(bench):
    """A board without 05 and AA is not asked for them again and again."""
    exporter = true_board(bench, '--poll.interval=1', '--session.renew=2', more=',no05,noaa')
    exporter.fresh()
    bench.sim.until('reply .* aa')
    exporter.until(lambda m: m('bms_link_sessions_total', reason='renewal') >= 2 and
                   m('bms_polls_total') >= 8, 'eight polls and two renewals')
    requests = bench.sim.battery()['requests']
    equal((requests.get('05'), requests.get('aa')), (1, 1), 'requests for 05 and AA')
    metrics = exporter.metrics()
    equal(metrics('bms_frame_errors_total', error='status'), 2, 'refusals')
    equal(metrics.sum('bms_poll_failures_total'), 0, 'failures')
    equal(metrics.all('bms_protection_events_total'), {}, 'counters of register AA')
    check('model' not in {k for k, v in metrics.labels('bms_info').items() if v}, 'a model')


@test
def silent_registers(bench):
    """A board that says nothing to 05 and AA is asked at most a few times."""
    exporter = bench.up('--poll.interval=1', battery=ADDRESS + ',steady')
    bench.sim('fault * error-status 80 05', 'frame %s aa 00' % ADDRESS)
    exporter.until(lambda m: m('bms_polls_total') >= 7 and m('bms_up') == 1, 'seven polls')
    requests = bench.sim.battery()['requests']
    equal(requests['05'], 1, 'requests for 05')
    check(requests['aa'] <= 6, 'asked %d times for AA' % requests['aa'])


@test
def one_battery_of_real_times(bench):
    """With bluetoothd's own times and the default settings the first values come as well."""
    exporter = true_board(bench, '--poll.interval=10s', faithful=True)
    TRUTH.check(exporter.fresh())


run(Bench)
