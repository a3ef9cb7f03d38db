# SPDX-License-Identifier: MIT
"""
The kinds of faults. Each is a class with begin() and end(), called when the schedule says so;
step() is called every few seconds in between. span: shortest and longest duration in seconds.
"""

import glob
import signal

KINDS = {}


def kind(name, span, *arguments):
    def register(base):
        base.kind, base.span, base.arguments = name, span, arguments
        KINDS[name] = base
        return base
    return register


class Fault:
    """
    An argument may be an event of the board: then it begins in the moment in which that happens
    next, and it is seen to that it happens soon.
    """

    place = 'board'  # two faults at a time are at different places

    def __init__(self, field, argument):
        self.field, self.argument = field, argument
        self.awaits = False
        self.then = None  # called when what was awaited has happened
        self.struck = False

    def strike(self, function):
        if not self.argument:
            self._strike(function)
            return
        self.awaits = True
        self.field.at_event(self.argument.replace('-', ' '), lambda: self._strike(function))
        if not self.argument.startswith('request'):
            self.board('drop 13')

    def _strike(self, function):
        self.struck = True
        function()
        if self.awaits:
            self.then()

    def mend(self, function):
        self.field.awaited = None
        if self.struck:
            function()

    def board(self, *commands):
        """Nothing while it is pulled out together with the controller."""
        for board in self.field.peers:
            board(*commands)

    def begin(self):
        pass

    def step(self):
        pass

    def end(self):
        pass


# ---- the board -----------------------------------------------------------------------------------

class OnBoard(Fault):
    """A command that begins it, and clear, which ends all faults of the board."""
    commands = ()

    def begin(self):
        for command in self.commands:
            self.board(command)

    def end(self):
        self.board('clear')


@kind('board-off', (10, 1800))
class BoardOff(OnBoard):
    commands = 'drop 15', 'vanish'


@kind('out-of-range', (2, 300))
class OutOfRange(OnBoard):
    commands = 'vanish',


@kind('out-of-range-while-connecting', (5, 120), '0.05', '0.3', '0.7', '1', '1.4', '2')
class OutOfRangeWhileConnecting(OnBoard):
    commands = 'drop 08',

    def begin(self):
        super().begin()
        self.field.later(float(self.argument), lambda: self.board('vanish'))


@kind('link-dropped', None, '08', '13', '15', '16', '3e')
class LinkDropped(OnBoard):
    def begin(self):
        self.board('drop ' + self.argument)


@kind('links-refused', None, '1', '2', '3', '5')
class LinksRefused(Fault):
    def begin(self):
        self.board('refuse ' + self.argument)
        self.board('drop 13')


@kind('dropped-while-resolving', None, '1', '2', '3', '5', '8', '11', '14')
class DroppedWhileResolving(Fault):
    def begin(self):
        self.board('drop-att ' + self.argument)
        self.board('drop 13')


@kind('dropped-when-asked', None, '1', '2', '3')
class DroppedWhenAsked(Fault):
    def begin(self):
        self.board('drop-request ' + self.argument)


@kind('dropped-again-and-again', (20, 300), '0.4', '1', '3', '7', '12')
class DroppedAgain(OnBoard):
    def begin(self):
        self.board('fault drop-every ' + self.argument)
        self.board('drop 13')


@kind('silent', (5, 600))
class Silent(OnBoard):
    commands = 'fault silent',


@kind('deaf', (5, 300))
class Deaf(OnBoard):
    commands = 'deaf on', 'drop 08'


@kind('notifies-nothing', (5, 300))
class NotifiesNothing(OnBoard):
    commands = 'fault notify-dead',


@kind('answers-late', (20, 300), '0.5', '1', '1.3', '2.4', '4')
class AnswersLate(OnBoard):
    def begin(self):
        self.board('fault late ' + self.argument)


@kind('services-vanish', (2, 300))
class ServicesVanish(Fault):
    def begin(self):
        self.board('services hide')

    def end(self):
        self.board('services show')


@kind('services-move', None)
class ServicesMove(Fault):
    def begin(self):
        self.board('services move')


class NowAndThen(OnBoard):
    """Strikes so often every few seconds."""
    what = None

    def begin(self):
        self.step()

    def step(self):
        self.board('fault %s %s' % (self.what, self.argument))


@kind('loses-answers', (30, 600), '1', '2')
class LosesAnswers(NowAndThen):
    what = 'no-answer'


@kind('corrupt-frames', (30, 600), '1', '2', '6')
class CorruptFrames(NowAndThen):
    what = 'corrupt'


@kind('short-frames', (30, 300), '1', '2', '6')
class ShortFrames(NowAndThen):
    what = 'truncate'


@kind('noise', (30, 300), '1', '2', '6')
class Noise(NowAndThen):
    what = 'garbage'


@kind('swapped-pieces', (30, 300), '1', '2', '6')
class SwappedPieces(NowAndThen):
    what = 'swap-order'


@kind('echo', (30, 300), '1', '2', '6')
class Echo(NowAndThen):
    what = 'echo'


@kind('echo-then-answer', (30, 300), '1', '6')
class EchoThenAnswer(NowAndThen):
    what = 'echo-then-answer'


@kind('answers-twice', (30, 300), '1', '6')
class AnswersTwice(NowAndThen):
    what = 'double'


# ---- bluetoothd, the adapter, the bus ------------------------------------------------------------

EVENTS = '', 'request', 'request-04', 'connected', 'notify-on'


@kind('bluetoothd-killed', (.1, 120), *EVENTS)
class BluetoothdKilled(Fault):
    place = 'stack'
    number = signal.SIGKILL

    def begin(self):
        self.strike(lambda: self.field.stop_bluez(self.number))

    def end(self):
        self.mend(self.field.start_bluez)


@kind('bluetoothd-terminated', (.1, 120), *EVENTS)
class BluetoothdTerminated(BluetoothdKilled):
    number = signal.SIGTERM


@kind('bluetoothd-stopped', (1, 120), *EVENTS)
class BluetoothdStopped(Fault):
    place = 'stack'

    def begin(self):
        self.strike(lambda: self.field.bluez.signal(signal.SIGSTOP))

    def end(self):
        self.mend(lambda: self.field.bluez.signal(signal.SIGCONT))


@kind('adapter-off', (.1, 300))
class AdapterOff(Fault):
    place = 'stack'

    def begin(self):
        self.field.power(False)

    def end(self):
        self.field.power(True)


@kind('rfkill', (.1, 300))
class Rfkill(Fault):
    place = 'stack'

    @staticmethod
    def block(value):
        for switch in glob.glob('/sys/class/bluetooth/hci?/rfkill*/soft'):
            with open(switch, 'w') as file:
                file.write(value)

    def begin(self):
        self.block('1')

    def end(self):
        self.block('0')


@kind('controller-pulled', (.5, 300), 'same', 'other')
class ControllerPulled(Fault):
    place = 'stack'

    def begin(self):
        self.field.pull_controller()

    def end(self):
        self.field.plug_controller(self.argument == 'other')


@kind('system-bus-restarted', (.1, 60))
class SystemBusRestarted(Fault):
    place = 'stack'

    def begin(self):
        self.field.stop_bus()

    def end(self):
        self.field.start_bus_again()


# ---- the program itself --------------------------------------------------------------------------

@kind('exporter-stopped', (.5, 300), *EVENTS)
class ExporterStopped(Fault):
    place = 'program'

    def begin(self):
        self.strike(lambda: self.field.hold_exporter(True))

    def end(self):
        self.mend(lambda: self.field.hold_exporter(False))
