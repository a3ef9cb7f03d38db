#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""Boards of every size and kind: what is served is what they say, no cell more and none less."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

from harness import ADDRESS, Bench, check, equal
from readings import Readings, load_frames
from tap import run, test


def kind(name, spec, cells, sensors, *wanted, counters=True, model=True):
    """A test with a board of this kind; wanted are families that must be there."""
    @test
    def function(bench):
        exporter = bench.up('--poll.interval=1', battery=ADDRESS + ',steady,' + spec)
        metrics = exporter.until(
            lambda m: m('bms_up') == 1 and
            bool(m.all('bms_protection_events_total')) == counters, 'readings')
        equal(len(metrics.all('bms_cell_voltage_volts')), cells, 'cells')
        equal(len(metrics.all('bms_cell_balancing')), cells, 'balancing')
        equal(len(metrics.all('bms_temperature_celsius')), sensors, 'sensors')
        for family in ('bms_humidity_ratio', 'bms_alarm_active', 'bms_restarts_total'):
            equal(bool(metrics.all(family)), family in wanted, family)
        if model:
            exporter.until(lambda m: m.labels('bms_info').get('model'), 'the model')
        at = bench.sim.mark()
        for _ in range(3):
            at = bench.sim.until('reply .* 04', at)
        metrics = exporter.metrics()
        equal(bool(metrics.labels('bms_info').get('model')), model, 'model')
        for reason in ('frame', 'status'):
            equal(metrics('bms_poll_failures_total', reason=reason), 0, reason)
    function.__doc__ = name


TAIL = ('bms_humidity_ratio', 'bms_alarm_active')
kind('One cell, no sensor', 'cells=1,ntc=0', 1, 0, 'bms_restarts_total')
kind('Three cells, one sensor, the short tail', 'cells=3,ntc=1,tail=9', 3, 1,
     'bms_restarts_total', *TAIL)
kind('Seventeen cells, three sensors', 'cells=17,ntc=3', 17, 3, 'bms_restarts_total')
kind('As many cells and sensors as there can be, the long tail', 'cells=32,ntc=16,tail=16', 32, 16,
     'bms_restarts_total', *TAIL)
kind('Eleven counters', 'cells=4,ntc=2,counters=22', 4, 2)
kind('No counters', 'cells=4,noaa', 4, 2, counters=False)
kind('No model', 'cells=4,no05', 4, 2, 'bms_restarts_total', model=False)
kind('Neither, on the newer module', 'cells=16,no05,noaa,module=fff0,write=command', 16, 2,
     counters=False, model=False)


def captured(basic, cells, name):
    """A test with the captured answers of one board, in pieces as the radio brings them."""
    @test
    def function(bench):
        frames = load_frames()
        bench.start_bus()
        bench.start_sim(ADDRESS + ',steady')
        for register, frame in (('03', frames[basic]), ('04', frames[cells])):
            whole = ''.join(frame['chunks'])
            pieces = [whole[i:i + 40] for i in range(0, len(whole), 40)]
            bench.sim('frame %s %s %s' % (ADDRESS, register, ','.join(pieces)))
        exporter = bench.start('--poll.interval=500ms')
        truth = Readings.of_frames(frames[basic]['decoded'], frames[cells]['decoded'])
        metrics = exporter.fresh()
        for key, value in truth.samples().items():
            if key[0] in ('bms_cell_voltage_volts', 'bms_temperature_celsius',
                          'bms_pack_voltage_volts', 'bms_pack_current_amperes',
                          'bms_remaining_capacity_amperehours'):
                check(abs(metrics.samples[key] - value) < 1e-6, '%s: %s' % (key, value))
    function.__doc__ = 'Captured answers: ' + name


captured('v003', 'v004', 'seventeen cells of the vendor')
captured('v019', 'v008', 'the tail of sixteen bytes')
captured('v044', 'v010', 'a clone with more temperatures than it counts')


run(Bench)
