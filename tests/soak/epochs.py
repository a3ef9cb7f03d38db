# SPDX-License-Identifier: MIT
"""
What the board says, as a function of a number that grows every few seconds: an epoch. All values of
a register tell its epoch, so a scrape tells when each of its values was said.
"""

from readings import Readings

EPOCHS = 65536  # then the counters on the wire begin anew
CELLS = 8
BASE_MV = 3000
STEPS = 256
REMAINING, NOMINAL = 75.6, 120
TAIL = {'humidity': 47, 'alarm': 0x0802, 'fcc_ah': NOMINAL, 'balance_current_ma': 60}


def cells_mv(n):
    """The first two tell the epoch. The sum is odd."""
    cells = [BASE_MV + n // STEPS, BASE_MV + n % STEPS] + \
        [BASE_MV + (n * 7 + i * 97) % 600 for i in range(2, CELLS)]
    cells[-1] += 1 - sum(cells) % 2
    return cells


def centiamperes(n):
    """Odd, so that neither power nor times come to lie in the middle between two rounded values."""
    return (1 if n % 2 else -1) * (101 + n * 38 % 5000)


def counter(n, i):
    return (n * (2 * i + 1) + i) % EPOCHS


def readings(basic, cells, counters):
    """What must be served if the registers were answered in these epochs; counters may be None."""
    return Readings(
        volts=(2000 + basic % 1500) / 100, amperes=centiamperes(basic) / 100, remaining=REMAINING,
        nominal=NOMINAL, cycles=basic, percent=63, cells=[mv / 1000 for mv in cells_mv(cells)],
        celsius=[basic % 600 / 10 - 10, basic % 77 / 10], balance=basic % 255 + 1,
        protection=basic * 5 % 0x2000, fet=basic % 4, tail=TAIL,
        counters=[] if counters is None else [counter(counters, i) for i in range(12)])


def commands(n):
    """Makes the board of tests/realstack say so, in one piece."""
    now = readings(n, n, n)
    lines = ['voltage_mv %d' % round(now.volts * 1000), 'current_ma %d' % (centiamperes(n) * 10),
             'cycles %d' % n, 'balance %x' % now.balance, 'protection %x' % now.protection,
             'fet %x' % now.fet, 'alarm %x' % TAIL['alarm'], 'humidity %d' % TAIL['humidity']]
    lines += ['cell %d %d' % (i + 1, mv) for i, mv in enumerate(cells_mv(n))]
    lines += ['ntc %d %d' % (i + 1, round(c * 10)) for i, c in enumerate(now.celsius)]
    lines += ['counter %d %d' % (i + 1, value) for i, value in enumerate(now.counters)]
    return ['set ' + line for line in lines]


class Served:
    """The epochs that a scrape shows, None where it shows none."""

    def __init__(self, metrics, battery):
        def value(name, **labels):
            return metrics(name, battery=battery, **labels)

        def whole(value):
            return None if value is None else round(value)
        self.basic = whole(value('bms_charge_cycles_total'))
        self.counters = whole(value('bms_protection_events_total', protection='short_circuit'))
        first, second = (value('bms_cell_voltage_volts', cell=cell) for cell in '12')
        self.cells = None
        if first is not None and second is not None:
            self.cells = (round(first * 1000) - BASE_MV) * STEPS + round(second * 1000) - BASE_MV
