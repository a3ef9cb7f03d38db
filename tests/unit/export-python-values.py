#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What bms-shed, the Python program, made of two answers of a board.

Reads lines of two frames in hex, register 03 and register 04 as they come over the air, and prints
for each line the samples as `name{label="value"} number`, ended by an empty line. It computes in
floats and in the order of that program, so that its numbers can be compared bit by bit.
"""
import struct
import sys

STATES = (
    "Cell_Block_Over_Vol", "Cell_Block_Under_Vol", "Battery_Over_Vol", "Battery_Under_Vol",
    "Charging_Over_Temp", "Charging_Under_Temp", "Discharging_Over_Temp", "Discharging_Under_Temp",
    "Charging_Over_Current", "Discharging_Over_Current", "Short_Circuit", "Fore-end_IC_Error",
    "MOS_Software_Lock-in",
)
HEADER = 4


def u16(data, offset):
    return struct.unpack_from(">H", data, offset)[0]


def s16(data, offset):
    return struct.unpack_from(">h", data, offset)[0]


def samples(frame_03, frame_04):
    basic = frame_03[HEADER:]
    cells = [u16(frame_04, HEADER + 2 * i) / 1000 for i in range(frame_04[3] // 2)]

    current = s16(basic, 2) / 100
    remaining = u16(basic, 4) / 100
    full = u16(basic, 6) / 100
    voltage = 0
    for cell in cells:
        voltage += cell
    power = round(voltage * current, 1)

    if full:
        yield "bms_ah_percent", round(remaining / full * 100, 2)
    yield "bms_ah_remaining", remaining
    yield "bms_ah_full", full
    yield "bms_voltage", voltage
    yield "bms_current", current
    yield "bms_power", power
    yield "bms_cycles", u16(basic, 8)
    for sensor, name in zip(range(basic[22]), ("bms_temperature", "bms_temperature2")):
        yield name, (u16(basic, 23 + 2 * sensor) - 2731) / 10
    yield 'bms_mode{bms_mode="discharging"}', int(power < 0)
    yield 'bms_mode{bms_mode="charging"}', int(power >= 0)
    for i, cell in enumerate(cells, 1):
        yield f"bms_voltage{i:02d}", cell
    for i in range(max(8, len(cells))):
        yield f'bms_balance_status{{cell="celbals[{i + 1}]"}}', u16(basic, 12) >> i & 1
    for i, state in enumerate(STATES):
        yield f'bms_state{{state="{state}"}}', u16(basic, 16) >> i & 1
    yield 'bms_fetst{fetst="FET_charging"}', basic[20] & 1
    yield 'bms_fetst{fetst="FET_discharging"}', basic[20] >> 1 & 1


def main():
    for line in sys.stdin:
        for name, value in samples(*(bytes.fromhex(word) for word in line.split())):
            print(name, repr(value))
        print()


if __name__ == "__main__":
    main()
