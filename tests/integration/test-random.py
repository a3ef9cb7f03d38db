#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""
Whatever happens to a board that stands still, no other value than its own is ever served.

Faults at random, several at a time, for many slots; BMS_SEED repeats a run, BMS_ROUNDS makes it
longer.
"""
import os
import random
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

from harness import Bench, check, equal
from readings import TRUTH, true_board
from tap import run, test

BYTES = ('corrupt', 'corrupt-length', 'truncate', 'garbage', 'late 0.1', 'late 0.4', 'double',
         'double 3 0.5', 'echo', 'echo-then-answer', 'trailing fcdd77dda50300fffd77', 'padding 9',
         'wrong-register', 'error-status 80', 'error-status 81 04', 'chunk-size 1', 'chunk-size 7',
         'swap-order', 'no-answer', 'silent')
COUNTED = ('corrupt', 'corrupt-length', 'truncate', 'garbage', 'late 0.4', 'double', 'echo',
           'echo-then-answer', 'padding 9', 'wrong-register', 'swap-order', 'no-answer')
LINK = ('drop-now', 'drop-after 2', 'drop-after 3', 'drop-every 0.6', 'notify-dead 1',
        'services-vanish', 'resolve-delay 0.3', 'resolve-before-objects 0.3',
        'write-fail org.bluez.Error.Failed whatever 1',
        'notify-fail org.bluez.Error.Failed whatever 1',
        'connect-fail org.bluez.Error.Failed le-connection-abort-by-local 1')
WORLD = (('adapter off', 'adapter on'), ('bluez die', 'bluez start'), ('bluez term', 'bluez start'),
         ('bluez hang', 'bluez resume'), ('absent *', 'present *'), ('forget *', None),
         ('adapter remove', 'adapter add'))


def one_round(dice, sim):
    """Sets some faults; returns what undoes those that clear does not."""
    undo = ['clear *', 'fault * services-return']
    for _ in range(dice.randint(1, 3)):
        kind = dice.random()
        if kind < .5:
            sim('fault * ' + dice.choice(BYTES))
        elif kind < .7:
            sim('fault * %s %d' % (dice.choice(COUNTED), dice.randint(1, 4)))
        elif kind < .9:
            sim('fault * ' + dice.choice(LINK))
        elif len(undo) == 2:  # one such thing at a time
            do, back = dice.choice(WORLD)
            sim(do)
            if back:
                undo.append(back)
    return undo


@test
def never_a_wrong_value(bench):
    """Random faults: never a wrong value, and afterwards fresh ones"""
    seed = int(os.environ.get('BMS_SEED', '20240229'))
    rounds = int(os.environ.get('BMS_ROUNDS', '12'))
    print('# BMS_SEED=%d BMS_ROUNDS=%d' % (seed, rounds), flush=True)
    dice = random.Random(seed)
    exporter = true_board(bench, '--session.renew=3')
    exporter.fresh()
    scrapes = fresh = 0
    for number in range(rounds):
        undo = one_round(dice, bench.sim)
        slots = exporter.metrics()('bms_polls_total') + dice.randint(1, 5)

        def enough(metrics):
            nonlocal scrapes, fresh
            TRUTH.check(metrics)
            scrapes += 1
            fresh += metrics('bms_up')
            return metrics('bms_polls_total') >= slots
        exporter.until(enough, 'slots of round %d' % number)
        for each in undo:
            bench.sim(each)
        if dice.random() < .4:
            exporter.until(lambda m: enough(m) and m('bms_up') == 1,
                           'readings after round %d' % number)
    TRUTH.check(exporter.fresh())
    check(scrapes >= 10 * rounds, 'only %d scrapes were looked at' % scrapes)
    check(fresh > 0, 'no scrape was fresh')
    equal(exporter.count_log('terminated|assert'), 0, 'bad lines')


run(Bench)
