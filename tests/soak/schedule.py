# SPDX-License-Identifier: MIT
"""
Which fault is to come when: drawn from a seed, or read from a file that an earlier run has left.
A line is "BEGIN SECONDS KIND [ARGUMENT]", times in seconds of the run.
"""

import random

TOGETHER = .3  # how many come with another one, at another place


class Entry:
    def __init__(self, begin, duration, kind, argument=''):
        self.begin, self.duration = begin, duration
        self.kind, self.argument = kind, argument

    @property
    def end(self):
        return self.begin + self.duration

    def __str__(self):
        return ('%.3f %.3f %s %s' % (self.begin, self.duration, self.kind, self.argument)).rstrip()


def draw(seed, seconds, quiet, kinds):
    """
    quiet: shortest and longest time between two faults
    kinds: {name: class of the fault}
    """
    source = random.Random(seed)
    entries, bag = [], []

    def entry(at):
        if not bag:  # each kind comes as often as any other, in an order by chance
            bag.extend(sorted(kinds))
            source.shuffle(bag)
        kind = kinds[bag.pop()]
        # As many of one second as of a hundred: short ones hit other things than long ones.
        shortest, longest = kind.span or (1, 1)
        duration = shortest * (longest / shortest) ** source.random() if kind.span else 0
        return Entry(at, duration, kind.kind,
                     source.choice(kind.arguments) if kind.arguments else '')

    at = source.uniform(*quiet)
    while True:
        new = [entry(at)]
        if source.random() < TOGETHER:
            other = entry(at + source.uniform(0, new[0].duration + 5))
            if kinds[other.kind].place != kinds[new[0].kind].place:
                new.append(other)
        end = max(each.end for each in new)
        if end + quiet[0] > seconds:
            return entries
        entries += new
        at = end + source.uniform(*quiet)


def read(path):
    with open(path, encoding='utf-8') as file:
        words = [line.strip().split(None, 3) for line in file
                 if line.strip() and line[0] != '#']
    return [Entry(float(begin), float(duration), kind, *argument)
            for begin, duration, kind, *argument in words]


def write(entries, path):
    with open(path, 'w', encoding='utf-8') as file:
        file.writelines('%s\n' % entry for entry in entries)
