# SPDX-License-Identifier: MIT
"""What must be served of a board: from its values to the samples of both families of names."""

import json

from harness import ADDRESS, ROOT, check

PROTECTIONS = (
    'cell_overvoltage', 'cell_undervoltage', 'pack_overvoltage', 'pack_undervoltage',
    'charge_overtemperature', 'charge_undertemperature', 'discharge_overtemperature',
    'discharge_undertemperature', 'charge_overcurrent', 'discharge_overcurrent', 'short_circuit',
    'frontend_ic_error', 'mos_software_lock', 'charge_mos_breakdown', 'discharge_mos_breakdown',
    'reserved_15')
ALARMS = (
    'cell_high', 'cell_low', 'pack_high', 'pack_low', 'charge_temperature_high',
    'charge_temperature_low', 'discharge_temperature_high', 'discharge_temperature_low',
    'charge_overcurrent', 'discharge_overcurrent', 'cell_difference', 'low_capacity',
    'reserved_12', 'reserved_13', 'reserved_14', 'reserved_15')
# In the order of register AA.
FUNCTIONS = ('current_limiting', 'heating', 'heating_on', 'forced_discharge', 'factory_mode')
COUNTERS = (
    'short_circuit', 'charge_overcurrent', 'discharge_overcurrent', 'cell_overvoltage',
    'cell_undervoltage', 'charge_overtemperature', 'charge_undertemperature',
    'discharge_overtemperature', 'discharge_undertemperature', 'pack_overvoltage',
    'pack_undervoltage')
STATES = (
    'Cell_Block_Over_Vol', 'Cell_Block_Under_Vol', 'Battery_Over_Vol', 'Battery_Under_Vol',
    'Charging_Over_Temp', 'Charging_Under_Temp', 'Discharging_Over_Temp', 'Discharging_Under_Temp',
    'Charging_Over_Current', 'Discharging_Over_Current', 'Short_Circuit', 'Fore-end_IC_Error',
    'MOS_Software_Lock-in')

# What is served of a battery whether it answers or not.
STATUS = {'bms_up', 'bms_info', 'bms_connected', 'bms_fault', 'bms_operator_needed',
          'bms_exporter_build_info'}
# These stay from the first readings on, and so can be there without the others.
STAYING = {'bms_last_update', 'bms_last_success_timestamp_seconds'}


def is_reading(name):
    return (name.startswith('bms_') and name not in STATUS and name not in STAYING and
            not name.startswith('bms_poll_duration_seconds') and not name.endswith('_total'))


class Readings:
    """The values of a board, each in the unit it is served in."""

    def __init__(self, volts, amperes, remaining, nominal, cycles, percent, cells, celsius,
                 balance=0, protection=0, fet=3, tail=None, counters=None):
        self.volts = volts
        self.amperes = amperes
        self.remaining = remaining
        self.nominal = nominal
        self.cycles = cycles
        self.percent = percent
        self.cells = cells  # V
        self.celsius = celsius
        self.balance = balance
        self.protection = protection
        self.fet = fet
        self.tail = tail  # as in frames.json
        self.counters = counters or []

    @classmethod
    def of_frames(cls, basic, cells, counters=None):
        """From what tests/data/frames.json says that its frames mean."""
        return cls(basic['voltage_v'], basic['current_a'], basic['remaining_ah'],
                   basic['nominal_ah'], basic['cycles'], basic['rsoc'],
                   [mv / 1000 for mv in cells['cells_mv']], basic['temps_c'], basic['balance'],
                   basic['protection'], basic['fet'], basic.get('tail'),
                   counters and counters['counters'])

    def seconds_left(self):
        """Of charging, of discharging; None where neither makes sense."""
        full = self.tail['fcc_ah'] if self.tail and self.tail['fcc_ah'] else self.nominal
        if self.amperes > 0 and full > self.remaining:
            return round((full - self.remaining) * 3600 / self.amperes), None
        if self.amperes < 0 and self.remaining > 0:
            return None, round(self.remaining * 3600 / -self.amperes)
        return None, None

    def samples(self, battery=ADDRESS, legacy_label=False):
        """{(name, labels): value} of all that may be served of the readings."""
        expected = {}
        own = {'battery': battery}

        def put(name, value, **labels):
            expected[name, frozenset({**labels, **own}.items())] = value

        to_full, to_empty = self.seconds_left()
        put('bms_pack_voltage_volts', self.volts)
        put('bms_pack_current_amperes', self.amperes)
        put('bms_pack_power_watts', self.volts * self.amperes)
        put('bms_state_of_charge_ratio', self.percent / 100)
        put('bms_remaining_capacity_amperehours', self.remaining)
        put('bms_nominal_capacity_amperehours', self.nominal)
        put('bms_charge_cycles_total', self.cycles)
        for i, volts in enumerate(self.cells):
            put('bms_cell_voltage_volts', volts, cell=str(i + 1))
            put('bms_cell_balancing', self.balance >> i & 1, cell=str(i + 1))
        for i, celsius in enumerate(self.celsius):
            put('bms_temperature_celsius', celsius, sensor=str(i + 1))
        for i, name in enumerate(PROTECTIONS):
            put('bms_protection_active', self.protection >> i & 1, protection=name)
        for i, name in enumerate(('charge', 'discharge')):
            put('bms_fet_enabled', self.fet >> i & 1, fet=name)
        if self.tail:
            put('bms_full_charge_capacity_amperehours', self.tail['fcc_ah'])
            put('bms_humidity_ratio', self.tail['humidity'] / 100)
            put('bms_balance_current_amperes', self.tail['balance_current_ma'] / 1000)
            for i, name in enumerate(ALARMS):
                put('bms_alarm_active', self.tail['alarm'] >> i & 1, alarm=name)
            for i, name in enumerate(FUNCTIONS):
                put('bms_function_active', self.fet >> (2 + i) & 1, function=name)
        for name, value in zip(COUNTERS, self.counters):
            put('bms_protection_events_total', value, protection=name)
        if len(self.counters) > len(COUNTERS):
            put('bms_restarts_total', self.counters[-1])
        if to_full is not None:
            put('bms_time_to_full_seconds', to_full)
        if to_empty is not None:
            put('bms_time_to_empty_seconds', to_empty)

        own = {'battery': battery} if legacy_label else {}
        volts = sum(self.cells)
        power = round(volts * self.amperes, 1)
        if self.nominal:
            put('bms_ah_percent', round(self.remaining / self.nominal * 100, 2))
        put('bms_ah_remaining', self.remaining)
        put('bms_ah_full', self.nominal)
        put('bms_voltage', volts)
        put('bms_current', self.amperes)
        put('bms_power', power)
        for name, celsius in zip(('bms_temperature', 'bms_temperature2'), self.celsius):
            put(name, celsius)
        put('bms_cycles', self.cycles)
        put('bms_mode', int(power >= 0), bms_mode='charging')
        put('bms_mode', int(power < 0), bms_mode='discharging')
        if to_full is not None:
            put('bms_time_left', to_full, mode='charging')
        if to_empty is not None:
            put('bms_time_left', to_empty, mode='discharging')
        for i, cell in enumerate(self.cells):
            put('bms_voltage%02d' % (i + 1), cell)
        for i in range(max(8, len(self.cells))):
            put('bms_balance_status', self.balance >> i & 1, cell='celbals[%d]' % (i + 1))
        for i, name in enumerate(STATES):
            put('bms_state', self.protection >> i & 1, state=name)
        put('bms_fetst', self.fet & 1, fetst='FET_charging')
        put('bms_fetst', self.fet >> 1 & 1, fetst='FET_discharging')
        return expected

    def check(self, metrics, battery=ADDRESS, legacy_label=False, legacy=True):
        """
        Whether a scrape tells the truth and nothing but it: while fresh, all of the readings; else
        none of them. Only this battery's samples are looked at.
        """
        expected = self.samples(battery, legacy_label)
        fresh = metrics('bms_up', battery=battery) == 1
        served = {key: value for key, value in metrics.samples.items()
                  if (is_reading(key[0]) or key in expected) and
                  dict(key[1]).get('battery', battery) == battery}
        for key, value in served.items():
            check(key in expected, 'served, but the board has said no such thing: %s %s' %
                  (key, value))
            check(abs(value - expected[key]) < 1e-6, 'served %s %s, the board says %s' %
                  (key[0] + str(sorted(key[1])), value, expected[key]))
        readings = {key for key in served if is_reading(key[0])}
        if not fresh:
            check(not readings, 'served although not fresh: %s' % sorted(readings, key=str)[:3])
            return
        missing = {key for key in expected if is_reading(key[0]) and
                   (legacy or 'battery' in dict(key[1]))} - readings
        check(not missing, 'not served although fresh: %s' % sorted(missing, key=str)[:3])


# A board that stands still, with values of which no two are alike.
TRUTH = Readings(volts=26.54, amperes=-12.34, remaining=75.6, nominal=120, cycles=271, percent=63,
                 cells=[3.301, 3.312, 3.323, 3.294, 3.335, 3.346, 3.317, 3.308],
                 celsius=[21.5, -3.5], balance=0x25, protection=0x1009, fet=0x11,
                 tail={'humidity': 47, 'alarm': 0x0802, 'fcc_ah': 120, 'balance_current_ma': 60},
                 counters=[11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22])
TRUE_BOARD = ',steady,tail=9,capacity=120,soc=63'


def set_truth(sim, address=ADDRESS, truth=TRUTH):
    """Makes a board that was started with TRUE_BOARD say this."""
    sim('set %s voltage_mv %d' % (address, round(truth.volts * 1000)),
        'set %s current_ma %d' % (address, round(truth.amperes * 1000)),
        'set %s cycles %d' % (address, truth.cycles),
        'set %s balance %x' % (address, truth.balance),
        'set %s protection %x' % (address, truth.protection),
        'set %s fet %x' % (address, truth.fet),
        'set %s alarm %x' % (address, truth.tail['alarm']),
        'set %s humidity %d' % (address, truth.tail['humidity']))
    for i, volts in enumerate(truth.cells):
        sim('set %s cell %d %d' % (address, i + 1, round(volts * 1000)))
    for i, celsius in enumerate(truth.celsius):
        sim('set %s ntc %d %d' % (address, i + 1, round(celsius * 10)))
    for i, value in enumerate(truth.counters):
        sim('set %s counter %d %d' % (address, i + 1, value))


def true_board(bench, *arguments, battery=ADDRESS, more='', faithful=False, **settings):
    """Bus, sim and exporter with one battery that tells the truth."""
    bench.start_bus()
    bench.start_sim(battery + TRUE_BOARD + more, faithful=faithful)
    set_truth(bench.sim, battery)
    if not any(a.startswith('--poll.interval') for a in arguments):
        arguments += ('--poll.interval=500ms',)
    return bench.start(*arguments, **settings)


def load_frames():
    with open(ROOT + '/tests/data/frames.json') as file:
        return {frame['id']: frame for frame in json.load(file)}
