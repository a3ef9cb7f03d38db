# SPDX-License-Identifier: MIT
"""
The same polls as one would write them in Python, with dbus-python and prometheus_client.

    python-exporter.py DEVICE-PATH NOTIFY-PATH WRITE-PATH PORT INTERVAL-MS

It is there to be measured: as with the floor object paths are given, and errors end it.
"""

import struct
import sys
import time

import dbus
import dbus.mainloop.glib
from gi.repository import GLib
from prometheus_client import Counter, Gauge, Histogram, start_http_server

DEVICE, NOTIFY, WRITE, PORT, INTERVAL_MS = sys.argv[1:6]
ADDRESS = DEVICE[-17:].replace('_', ':')
CHARACTERISTIC = 'org.bluez.GattCharacteristic1'
REQUESTS = [dbus.ByteArray(bytes.fromhex(each)) for each in ('dda50300fffd77', 'dda50400fffc77')]
OPTIONS = dbus.Dictionary({'type': 'command'}, signature='sv')
PROTECTIONS = (
    'cell_overvoltage', 'cell_undervoltage', 'pack_overvoltage', 'pack_undervoltage',
    'charge_overtemperature', 'charge_undertemperature', 'discharge_overtemperature',
    'discharge_undertemperature', 'charge_overcurrent', 'discharge_overcurrent', 'short_circuit',
    'frontend_ic_error', 'mos_software_lock', 'charge_mos_breakdown', 'discharge_mos_breakdown',
    'reserved_15')
STATES = (
    'Cell_Block_Over_Vol', 'Cell_Block_Under_Vol', 'Battery_Over_Vol', 'Battery_Under_Vol',
    'Charging_Over_Temp', 'Charging_Under_Temp', 'Discharging_Over_Temp', 'Discharging_Under_Temp',
    'Charging_Over_Current', 'Discharging_Over_Current', 'Short_Circuit', 'Fore-end_IC_Error',
    'MOS_Software_Lock-in')
# What the program that is compared has besides: (name, label, values), 0 at the start.
OTHERS = (
    ('bms_poll_failures', 'reason',
     ('not_connected', 'timeout', 'link_loss', 'frame', 'status', 'missed')),
    ('bms_rejected', 'error', ('checksum', 'length', 'echo', 'status', 'register', 'sanity')),
    ('bms_link_sessions', 'reason', ('start', 'renewal', 'stall', 'link_loss', 'adapter', 'turn',
                                     'release', 'bluez')),
    ('bms_recovery_actions', 'action',
     ('retry', 'reconnect', 'remove_device', 'power_cycle', 'command', 'tell')),
    ('bms_protection_events', 'protection', PROTECTIONS[:11]),
    ('bms_alarm_events', 'protection', PROTECTIONS),
)
MAX_CELLS = 32
MAX_SENSORS = 16


def gauge(name, text):
    return Gauge(name, text, ['battery']).labels(ADDRESS)


def gauges(name, text, label, values):
    family = Gauge(name, text, ['battery', label])
    return [family.labels(ADDRESS, value) for value in values]


class LazyGauges:
    """Those whose number is known only when the board has told it; children are kept."""

    def __init__(self, name, text, label):
        self.family = Gauge(name, text, ['battery', label])
        self.children = []

    def set(self, values):
        while len(self.children) < len(values):
            self.children.append(self.family.labels(ADDRESS, str(len(self.children) + 1)))
        for child, value in zip(self.children, values):
            child.set(value)


class Metrics:
    def __init__(self):
        self.up = gauge('bms_up', 'Whether the readings are fresh.')
        self.polls = Counter('bms_polls', 'Polls that became due.', ['battery']).labels(ADDRESS)
        self.errors = Counter('bms_frame_errors', 'Answers that were not used.',
                              ['battery']).labels(ADDRESS)
        self.duration = Histogram('bms_poll_duration_seconds', 'Time that a poll took.',
                                  ['battery'],
                                  buckets=(.05, .1, .2, .3, .5, 1, 2, 5, 10)).labels(ADDRESS)
        self.updated = gauge('bms_last_success_timestamp_seconds', 'Time of the latest poll.')
        self.voltage = gauge('bms_pack_voltage_volts', 'Voltage of the pack.')
        self.current = gauge('bms_pack_current_amperes', 'Current, positive while charging.')
        self.power = gauge('bms_pack_power_watts', 'Power.')
        self.soc = gauge('bms_state_of_charge_ratio', 'State of charge.')
        self.remaining = gauge('bms_remaining_capacity_amperehours', 'Charge that is left.')
        self.nominal = gauge('bms_nominal_capacity_amperehours', 'Capacity.')
        self.cycles = gauge('bms_cycles', 'Charge cycles.')
        self.volts = LazyGauges('bms_voltage', 'Voltage of a cell.', 'cell')
        self.bits = LazyGauges('bms_balance_status', 'Whether it is balanced.', 'cell')
        self.others = [gauges(name, 'Zero here.', label, values)
                       for name, label, values in OTHERS]
        self.cells = LazyGauges('bms_cell_voltage_volts', 'Voltage of a cell.', 'cell')
        self.balancing = LazyGauges('bms_cell_balancing', 'Whether it is balanced.', 'cell')
        self.temperatures = LazyGauges('bms_temperature_celsius', 'Temperature.', 'sensor')
        self.protections = gauges('bms_protection_active', 'Whether it has tripped.',
                                  'protection', PROTECTIONS)
        self.states = gauges('bms_state', 'Whether it has tripped.', 'state', STATES)
        self.fets = gauges('bms_fet_enabled', 'Whether a FET is on.', 'fet',
                           ('charge', 'discharge'))

    def basic(self, data):
        (pack, current, remaining, nominal, cycles, _date, low, high, protection, _version, soc,
         fet, cells, sensors) = struct.unpack_from('>HhHHHHHHHBBBBB', data)
        self.voltage.set(pack / 100)
        self.current.set(current / 100)
        self.power.set(pack * current / 10000)
        self.soc.set(soc / 100)
        self.remaining.set(remaining / 100)
        self.nominal.set(nominal / 100)
        self.cycles.set(cycles)
        balancing = low | high << 16
        balanced = [balancing >> i & 1 for i in range(min(cells, MAX_CELLS))]
        self.balancing.set(balanced)
        self.bits.set(balanced)
        sensors = min(sensors, MAX_SENSORS)
        self.temperatures.set([(raw - 2731) / 10
                               for raw in struct.unpack_from('>%dH' % sensors, data, 23)])
        for bit, child in enumerate(self.protections):
            child.set(protection >> bit & 1)
        for bit, child in enumerate(self.states):
            child.set(protection >> bit & 1)
        for bit, child in enumerate(self.fets):
            child.set(fet >> bit & 1)

    def voltages(self, data):
        count = len(data) // 2
        volts = [raw / 1000 for raw in struct.unpack('>%dH' % count, data[:2 * count])]
        self.cells.set(volts)
        self.volts.set(volts)


class Poller:
    def __init__(self, bus, metrics):
        self.metrics = metrics
        self.characteristic = dbus.Interface(
            bus.get_object('org.bluez', WRITE, introspect=False), CHARACTERISTIC)
        self.buffer = b''
        self.asked = 0
        self.began = 0
        self.greeted = False

    def ask(self, which):
        self.asked = which
        self.buffer = b''
        self.characteristic.WriteValue(REQUESTS[which], OPTIONS, ignore_reply=True)

    def poll(self):
        self.began = time.monotonic()
        self.metrics.polls.inc()
        self.ask(0)
        return True

    def heard(self, _interface, changed, _invalidated):
        value = changed.get('Value')
        if value is None:
            return
        self.buffer += bytes(value)
        start = self.buffer.find(b'\xdd')
        if start < 0:
            return
        frame = self.buffer[start:]
        if len(frame) < 4 or len(frame) < frame[3] + 7:
            return
        data = frame[4:4 + frame[3]]
        check = int.from_bytes(frame[4 + frame[3]:6 + frame[3]], 'big')
        if (sum(frame[2:4 + frame[3]]) + check) & 0xFFFF != 0 or frame[2] != 0:
            self.metrics.errors.inc()
            return
        if self.asked == 0:
            self.metrics.basic(data)
            self.ask(1)
        else:
            self.metrics.voltages(data)
            self.done()

    def done(self):
        self.metrics.up.set(1)
        self.metrics.updated.set(time.time())
        self.metrics.duration.observe(time.monotonic() - self.began)
        if not self.greeted:
            print('first readings', file=sys.stderr, flush=True)
        self.greeted = True


def main():
    start_http_server(int(PORT), addr='127.0.0.1')
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    bus = dbus.SystemBus()
    poller = Poller(bus, Metrics())
    bus.add_signal_receiver(poller.heard, 'PropertiesChanged', 'org.freedesktop.DBus.Properties',
                            'org.bluez', NOTIFY)
    device = bus.get_object('org.bluez', DEVICE, introspect=False)
    device.Connect(dbus_interface='org.bluez.Device1')
    while not device.Get('org.bluez.Device1', 'ServicesResolved',
                         dbus_interface=dbus.PROPERTIES_IFACE):
        time.sleep(.001)
    bus.get_object('org.bluez', NOTIFY, introspect=False).StartNotify(
        dbus_interface=CHARACTERISTIC)
    poller.poll()
    GLib.timeout_add(int(INTERVAL_MS), poller.poll)
    GLib.MainLoop().run()


main()
