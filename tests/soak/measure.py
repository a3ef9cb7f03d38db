# SPDX-License-Identifier: MIT
"""What must not grow: memory and descriptors, match rules on the bus, BlueZ's objects."""

import json
import os
import re
import subprocess


def process(pid):
    """PSS, RSS, heap and what else is its own in KiB; number of descriptors and threads."""
    with open('/proc/%d/smaps' % pid) as file:
        text = file.read()

    def total(field, text=text):
        return sum(int(kib) for kib in re.findall(r'(?m)^%s: +(\d+) kB' % field, text))
    heap = re.search(r'\[heap\]\n(?:[A-Z].*\n)+', text)
    return {'pss': total('Pss'), 'rss': total('Rss'),
            'private': total('Private_Dirty'),
            'heap': total('Rss', heap[0]) if heap else 0,
            'descriptors': len(os.listdir('/proc/%d/fd' % pid)),
            'threads': len(os.listdir('/proc/%d/task' % pid))}


def _busctl(*arguments):
    done = subprocess.run(['busctl', '--json=short', '--timeout=20', *arguments], check=True,
                          stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def _bus(interface, member, *arguments):
    return _busctl('call', 'org.freedesktop.DBus', '/org/freedesktop/DBus',
                   'org.freedesktop.DBus' + interface, member, *arguments)['data'][0]


def names():
    return _bus('', 'ListNames')


def match_rules(pid):
    """Match rules of the connections of a process, and of all."""
    rules = _bus('.Debug.Stats', 'GetAllMatchRules')
    own = [name for name in rules if rules[name] and
           _bus('', 'GetConnectionUnixProcessID', 's', name) == pid]
    return {'rules': sum(len(rules[name]) for name in own),
            'all rules': sum(len(each) for each in rules.values())}


def object_paths():
    """Of bluetoothd."""
    return _busctl('call', 'org.bluez', '/', 'org.freedesktop.DBus.ObjectManager',
                   'GetManagedObjects')['data'][0]


def everything(exporter, bluetoothd, bus):
    """The arguments are processes' numbers."""
    found = process(exporter)
    found.update(match_rules(exporter))
    found['bluez objects'] = len(object_paths())
    found['bluetoothd'] = process(bluetoothd)['pss']
    found['bus'] = process(bus)['pss']
    return found
