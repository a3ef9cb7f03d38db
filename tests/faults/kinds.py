# SPDX-License-Identifier: MIT
"""
The kinds of faults at the stand-in: what begins and what ends each of them. The names are those of
tests/soak/faults.py wherever both have one.
"""

import dataclasses
import signal

SPAN = 5, 90  # s: shortest and longest duration

REFUSAL = 'org.bluez.Error.Failed le-connection-abort-by-local'
FAILURE = 'org.bluez.Error.Failed "Operation failed with ATT error: 0x0e"'


@dataclasses.dataclass(frozen=True)
class Kind:
    """
    begin and end are commands of tests/sim/README.md, or functions of the injection. {} stands for
    one of the choices, drawn for each injection. Without an end it is over at once.
    """
    name: str
    text: str
    begin: tuple
    end: tuple = ()
    choices: tuple = ('',)
    options: tuple = ()    # of the program
    on_event: object = None  # called for each event of the stand-in while it lasts


def every_second_answer(injection, event):
    """On the first of two requests: the second comes when that one is answered."""
    if event.startswith('request '):
        injection.requests += 1
        if injection.requests % 2:
            injection.bench.sim('fault * no-answer 1')


def hold(injection):
    injection.bench.exporter.signal(signal.SIGSTOP)
    injection.held = True


def let_go(injection):
    injection.bench.exporter.signal(signal.SIGCONT)
    injection.held = False
    injection.next_look = 0


def stop_bus(injection):
    injection.stop_bus()


def start_bus(injection):
    injection.start_bus()


def absent_later(seconds):
    return lambda injection: injection.later(seconds, 'absent *')


DROP = 'fault * drop-now'
CLEAR = 'clear *',

_all = (
    # ---- the board ----
    Kind('board-off', 'board switched off and on', (DROP, 'absent *'), ('present *',)),
    Kind('out-of-range', 'out of range and back', ('absent *',), ('present *',)),
    Kind('out-of-range-while-connecting', 'the same while the link is being made',
         (DROP, 'absent-in {}'), ('present *',), choices=('0.05', '0.3', '0.7', '1', '1.4', '2')),
    Kind('link-dropped', 'link dropped', ('fault * lose-first off', DROP)),
    Kind('first-command-lost', 'link dropped, and the first command of the next is lost',
         ('fault * lose-first on', DROP)),
    Kind('dropped-when-asked', 'link dropped at a request', ('fault * drop-after {}',),
         choices=('1', '2', '3')),
    Kind('dropped-again-and-again', 'link dropped again and again',
         ('fault * drop-every {}', DROP), CLEAR, choices=('0.4', '1', '3', '7', '12')),
    Kind('silent', 'board silent', ('fault * silent',), CLEAR),
    Kind('loses-answers', 'every second answer lost', (), CLEAR,
         on_event=every_second_answer),
    Kind('answers-late', 'answers come late', ('fault * late {}',), CLEAR,
         choices=('0.5', '1', '1.3', '2.4', '4')),
    Kind('corrupt-frames', 'every frame corrupt', ('fault * corrupt',), CLEAR),
    Kind('short-frames', 'every frame cut short', ('fault * truncate',), CLEAR),
    Kind('noise', 'noise before every frame', ('fault * garbage',), CLEAR),
    Kind('swapped-pieces', 'pieces of every frame in the wrong order', ('fault * swap-order',),
         CLEAR),
    Kind('echo', 'board echoes requests instead of answering', ('fault * echo',), CLEAR),
    Kind('echo-then-answer', 'board echoes each request, then answers',
         ('fault * echo-then-answer',), CLEAR),
    Kind('answers-twice', 'every answer comes twice', ('fault * double',), CLEAR),
    # By itself it ends with the link.
    Kind('services-vanish', 'services vanish and return',
         ('fault * no-service', 'fault * services-vanish'), ('clear *', 'fault * services-return')),
    Kind('services-move', 'services move to other handles',
         ('fault * services-vanish', 'fault * services-return')),
    # ---- bluetoothd and the controller ----
    Kind('connect-fails', 'Connect fails at once',
         ('fault * connect-fail ' + REFUSAL, DROP), CLEAR),
    Kind('connect-unanswered', 'Connect is never answered', ('fault * connect-hang', DROP), CLEAR),
    # A delay, because clear ends resolve-never on a link that is up, too.
    Kind('resolved-never', 'services are never resolved', ('fault * resolve-delay 1000', DROP),
         CLEAR),
    Kind('notify-fails', 'StartNotify fails', ('fault * notify-fail ' + FAILURE, DROP), CLEAR),
    Kind('notifies-nothing', 'StartNotify succeeds, nothing is notified',
         ('fault * notify-dead', DROP), CLEAR),
    Kind('write-fails', 'WriteValue fails', ('fault * write-fail ' + FAILURE,), CLEAR),
    Kind('bluetoothd-killed', 'bluetoothd killed and started', ('bluez die',), ('bluez start',)),
    Kind('bluetoothd-terminated', 'bluetoothd terminated and started', ('bluez term',),
         ('bluez start',)),
    Kind('bluetoothd-stopped', 'bluetoothd hangs and goes on', ('bluez hang',), ('bluez resume',)),
    Kind('adapter-off', 'adapter switched off and on', ('adapter off',), ('adapter on',)),
    Kind('rfkill', 'adapter blocked (rfkill) and unblocked', ('adapter block',),
         ('adapter unblock',)),
    Kind('controller-pulled', 'adapter pulled and put back', ('adapter remove',),
         ('adapter add {}',), choices=('hci0', 'hci1')),
    Kind('system-bus-restarted', 'system bus and bluetoothd stopped and started', (stop_bus,),
         (start_bus,)),
    # ---- what only the program itself can cure: measured from the beginning ----
    Kind('device-wedged', 'BlueZ\'s device wedged until RemoveDevice', ('fault * wedged', DROP)),
    Kind('stale-services', 'services stale until RemoveDevice', ('fault * stale-services',)),
    Kind('controller-wedged', 'controller refuses links until a power cycle',
         ('adapter wedge', DROP), options=('--recover.power-cycle',)),
    Kind('controller-wedged-silently', 'controller answers no Connect until a power cycle',
         ('adapter wedge-hang', DROP), options=('--recover.power-cycle',)),
    # ---- the program ----
    Kind('exporter-stopped', 'the program stopped and continued', (hold,), (let_go,)),
)
KINDS = {kind.name: kind for kind in _all}
