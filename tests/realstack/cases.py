# SPDX-License-Identifier: MIT
"""The cases; see run."""

import signal

from harness import check, equal
from stack import case


def failures(metrics):
    return metrics.sum('bms_poll_failures_total')


# ---- in good weather -----------------------------------------------------------------------------

@case
def first_contact(stack):
    """A board that BlueZ has never seen is found, connected to and read."""
    exporter = stack.start()
    stack.reads(exporter)
    exporter.logged('first readings: 8 cells, 26.54 V')
    equal(exporter.stop(), 0, 'exit status')
    stack.disconnected()


@case
def known_board(stack):
    """A board that BlueZ knows is connected to without a discovery."""
    stack.reads(first := stack.start())
    equal(first.stop(), 0, 'exit status')
    stack.reads(second := stack.start())
    check(second.count_log('looking for the battery') == 1, 'found at once')


@case(watched=False)
def a_thousand_polls(stack):
    """A thousand polls, with renewals among them: none is lost."""
    exporter = stack.start('--poll.interval=4', '--session.renew=300')
    before = stack.reads(exporter)
    mark = stack.peer.mark()
    for _ in range(1000):
        mark = stack.peer.until('reply 04', mark)
    after = stack.reads(exporter)
    check(after('bms_link_sessions_total', reason='renewal') >= 10, 'renewals')
    equal(failures(after), failures(before), 'failed polls')
    equal(after.sum('bms_link_sessions_total', reason='stall') +
          after.sum('bms_link_sessions_total', reason='link_loss'), 0, 'lost sessions')
    # Nor of the pieces of an answer: that counts as one cut short.
    equal(after.sum('bms_frame_errors_total'), before.sum('bms_frame_errors_total'),
          'damaged frames')
    polls = after('bms_polls_total') - before('bms_polls_total')
    check(polls >= 980, 'slots in which a poll was due: %d' % polls)
    check(after('bms_poll_duration_seconds_count') >=
          before('bms_poll_duration_seconds_count') + polls, 'complete polls')


@case
def renewals(stack):
    """Sessions renewed behind every poll: none fails, none is lost."""
    exporter = stack.start('--poll.interval=8', '--session.renew=1')
    before = stack.reads(exporter)
    after = exporter.until(
        lambda m: m('bms_link_sessions_total', reason='renewal') >= 8, 'renewals', limit=60)
    equal(failures(after), failures(before), 'failed polls')
    equal(after.sum('bms_link_sessions_total', reason='stall') +
          after.sum('bms_link_sessions_total', reason='link_loss'), 0, 'lost sessions')
    stack.reads(exporter)


@case
def two_boards(stack):
    """Two boards are read side by side, and one that goes does not disturb the other."""
    other = stack.start_peer()
    exporter = stack.start(stack.peer.address, other.address)
    exporter.fresh(2)  # the first one first: see peer_hci.c
    stack.reads(exporter)
    stack.reads(exporter, other)
    other('vanish')
    stack.gone(exporter, other)
    stack.reads(exporter)
    other('return')
    stack.reads(exporter, other)
    stack.reads(exporter)


# ---- the board -----------------------------------------------------------------------------------

@case
def out_of_range(stack):
    """A board that goes out of range is told of, its values go, and come back with it."""
    exporter = stack.start()
    stack.reads(exporter)
    stack.peer('vanish')
    stack.gone(exporter)
    exporter.logged('warning: ')
    stack.peer('return')
    stack.reads(exporter)
    exporter.logged('readings are back')


@case
def switched_off(stack):
    """A board that is off for minutes, so that BlueZ forgets it, is found again."""
    exporter = stack.start()
    stack.reads(exporter)
    stack.peer('vanish')
    at = 0
    for _ in range(3):
        at = exporter.logged('not_found while looking', at)
    stack.gone(exporter)
    stack.peer('return')
    stack.reads(exporter)


@case
def drops_the_link(stack):
    """A link that the board ends, for whatever reason, is made again."""
    exporter = stack.start()
    stack.reads(exporter)
    for reason in '13', '08', '15', '3e':
        mark = stack.peer.mark()
        stack.peer('drop ' + reason)
        stack.peer.until('connected', stack.peer.until('disconnected ' + reason, mark))
        stack.reads(exporter)


@case
def not_there(stack):
    """A board that is not there at first is read as soon as it comes."""
    stack.peer('vanish')
    exporter = stack.start()
    exporter.logged('warning: .*not found')
    stack.peer('return')
    stack.reads(exporter)


@case
def goes_while_asked(stack):
    """A board that ends the link instead of answering is read again."""
    exporter = stack.start()
    for request in 1, 2, 3:
        stack.peer('drop-request %d' % request)
        stack.peer.until('disconnected', stack.peer.mark())
        stack.reads(exporter)


@case
def goes_while_connecting(stack):
    """Links that break as soon as they are there do not keep the next one from being made."""
    stack.peer('refuse 3')
    exporter = stack.start()
    stack.reads(exporter)
    equal(stack.peer.state()['links'], 4, 'links')


@case
def goes_while_discovered(stack):
    """Links that break in the middle of service discovery leave nothing behind that hurts."""
    exporter = stack.start()
    for packet in 1, 3, 5, 8, 11, 14:
        stack.peer('drop-att %d' % packet)
        stack.peer.until('disconnected', stack.peer.mark())
    stack.reads(exporter)


@case
def connects_and_is_deaf(stack):
    """A board that connects and answers nothing at all is told of, and read when it does."""
    stack.peer('deaf on')
    exporter = stack.start()
    exporter.logged('warning: ')
    equal(exporter.metrics()('bms_up'), 0, 'bms_up')
    stack.peer('deaf off')
    stack.reads(exporter)


@case
def silent(stack):
    """A board that takes requests and never answers is told of, and read when it does."""
    stack.peer('fault silent')
    exporter = stack.start()
    exporter.logged('warning: .*connected but silent')
    stack.true(exporter.metrics())
    stack.peer('clear')
    stack.reads(exporter)
    stack.peer('fault silent')
    stack.gone(exporter)
    stack.peer('clear')
    stack.reads(exporter)


@case
def adapter_switched_for_it(stack):
    """A board that stays silent has the adapter switched off and on, if allowed; reading goes on."""
    stack.peer('fault silent')
    exporter = stack.start('--recover.power-cycle')
    at = exporter.logged('removing the device from bluetoothd')
    at = exporter.logged('adapter .* is on again', at, limit=300)
    exporter.logged('subscribing', at)
    equal(stack.adapter('Powered'), 'true', 'Powered')
    stack.peer('clear')
    stack.reads(exporter)


@case
def answers_when_asked_again(stack):
    """Requests that are lost now and then are repeated, and no poll fails for it."""
    exporter = stack.start('--poll.interval=4')
    before = stack.reads(exporter)
    for _ in range(6):
        stack.peer('fault no-answer 1')
        after = stack.reads(exporter)
    equal(failures(after), failures(before), 'failed polls')
    equal(after.sum('bms_link_sessions_total'), 1, 'sessions')


@case
def drops_every_few_seconds(stack):
    """A board that ends the link every few seconds is read in between."""
    stack.peer('fault drop-every 8')
    exporter = stack.start()
    for _ in range(4):
        mark = stack.peer.mark()
        stack.reads(exporter)
        stack.peer.until('disconnected', mark)
    stack.peer('clear')
    stack.reads(exporter)


@case
def services_vanish(stack):
    """Services that vanish from a live link, and come back elsewhere, are followed."""
    exporter = stack.start()
    stack.reads(exporter)
    stack.peer('services hide')
    stack.gone(exporter)
    exporter.logged('warning: ')
    stack.peer('services show')
    stack.reads(exporter)
    stack.peer('services move')
    stack.reads(exporter)


@case
def services_move_unseen(stack):
    """Services that have moved while nobody was connected are found again."""
    stack.reads(first := stack.start())
    equal(first.stop(), 0, 'exit status')
    stack.disconnected()
    stack.peer('services move')
    stack.reads(stack.start())


# ---- bluetoothd and the adapter ------------------------------------------------------------------

@case
def bluetoothd_killed(stack):
    """bluetoothd killed and started again: reading goes on."""
    exporter = stack.start()
    stack.reads(exporter)
    stack.bluez.kill()
    exporter.logged('warning: .*bluetoothd is not running')
    stack.gone(exporter)
    stack.start_bluez()
    stack.reads(exporter)
    equal(exporter.metrics()('bms_link_sessions_total', reason='bluez'), 1, 'sessions')


@case
def bluetoothd_restarted(stack):
    """bluetoothd stopped in an orderly way and started again: reading goes on."""
    exporter = stack.start()
    for _ in range(2):
        stack.reads(exporter)
        stack.bluez.kill(signal.SIGTERM)
        stack.start_bluez()
    stack.reads(exporter)


@case
def bluetoothd_killed_while_connecting(stack):
    """bluetoothd killed and started again while a connection is pending: nothing is left over."""
    exporter = stack.start()
    stack.reads(exporter)
    stack.peer('vanish')
    at = exporter.logged('connecting$', len(exporter.log))
    stack.bluez.kill()
    at = exporter.logged('bluetoothd is not running', at)
    stack.start_bluez()
    exporter.logged('connecting$', at)
    stack.peer('return')
    stack.reads(exporter)


@case
def bluetoothd_stands_still(stack):
    """A bluetoothd that stands still for a while: reading goes on."""
    exporter = stack.start()
    before = stack.reads(exporter)
    stack.bluez.signal(signal.SIGSTOP)
    stack.gone(exporter)
    exporter.until(lambda m: m('bms_polls_total') >= before('bms_polls_total') + 5, 'lost polls')
    stack.bluez.signal(signal.SIGCONT)
    stack.reads(exporter)


@case
def bluetoothd_late(stack):
    """A bluetoothd that comes later than the exporter is waited for."""
    stack.bluez.kill(signal.SIGTERM)
    exporter = stack.start()
    exporter.logged('warning: .*bluetoothd is not running')
    stack.start_bluez()
    stack.reads(exporter)


@case
def adapter_off_and_on(stack):
    """An adapter that is switched off and on again: reading goes on."""
    exporter = stack.start()
    for _ in range(2):
        stack.reads(exporter)
        stack.power(False)
        exporter.logged('the Bluetooth adapter is off or blocked')
        stack.gone(exporter)
        stack.power(True)
    stack.reads(exporter)


@case
def rfkill(stack):
    """An adapter that is blocked and unblocked: reading goes on."""
    exporter = stack.start()
    stack.reads(exporter)
    stack.rfkill(True)
    exporter.logged('warning: .*the Bluetooth adapter is off or blocked')
    stack.gone(exporter)
    stack.rfkill(False)
    stack.reads(exporter)


@case
def controller_pulled(stack):
    """A controller that is pulled out and comes back under another name: reading goes on."""
    exporter = stack.start()
    stack.reads(exporter)
    stack.pull_controller()
    exporter.logged('warning: .*(no such Bluetooth adapter|adapter is off)')
    exporter.until(lambda m: m('bms_up') == 0, 'readings to vanish')
    stack.plug_controller()
    stack.reads(exporter)
    equal(stack.adapter('Powered', '/org/bluez/hci0'), None, 'hci0')
    equal(stack.adapter('Powered', '/org/bluez/hci1'), 'true', 'hci1')


# ---- this program --------------------------------------------------------------------------------

@case
def killed(stack):
    """A link left behind by a killed process is taken down and made anew."""
    stack.reads(first := stack.start())
    first.stop(signal.SIGKILL)
    equal(stack.device('Connected'), 'true', 'the link of the killed process')
    stack.reads(second := stack.start())
    second.logged('is connected already')


@case
def killed_on_the_way(stack):
    """Processes killed while finding and while connecting leave nothing that hurts the next."""
    stack.peer('vanish')
    first = stack.start()
    stack.eventually('the discovery', lambda: stack.adapter('Discovering') == 'true')
    first.stop(signal.SIGKILL)
    stack.peer('return')
    stack.reads(second := stack.start())
    stack.peer('vanish')
    second.logged('connecting$', len(second.log))
    second.stop(signal.SIGKILL)
    third = stack.start()
    third.logged('connecting$')
    stack.peer('return')
    stack.reads(third)


@case
def terminated_while_finding(stack):
    """SIGTERM while finding: no discovery is left running."""
    stack.peer('vanish')
    exporter = stack.start()
    stack.eventually('the discovery', lambda: stack.adapter('Discovering') == 'true')
    equal(exporter.stop(), 0, 'exit status')
    stack.eventually('its end', lambda: stack.adapter('Discovering') == 'false')


@case
def terminated_while_connecting(stack):
    """SIGTERM while connecting: the attempt does not stand in the way of the next one."""
    stack.reads(first := stack.start())
    stack.peer('vanish')
    first.logged('connecting$', len(first.log))
    equal(first.stop(), 0, 'exit status')
    stack.disconnected()
    second = stack.start()
    second.logged('connecting$')
    stack.peer('return')
    stack.reads(second)
    equal(second.count_log('in progress'), 0, 'attempts refused')


@case
def terminated_while_resolving(stack):
    """SIGTERM while services are discovered: the link is down afterwards."""
    stack.peer('deaf on')
    exporter = stack.start()
    exporter.logged('discovering services')
    equal(exporter.stop(), 0, 'exit status')
    stack.disconnected()


@case
def terminated_while_asking(stack):
    """SIGTERM while a request is under way: the link is down afterwards."""
    stack.peer('fault silent')
    exporter = stack.start()
    stack.peer.until('request')
    equal(exporter.stop(), 0, 'exit status')
    stack.disconnected()


@case
def once(stack):
    """--once prints what the board says, and leaves no link behind."""
    exporter = stack.start('--once', serves=False)
    equal(exporter.end(), 0, 'exit status')
    check('bms_charge_cycles_total{battery="%s"} %d' % (stack.peer.address,
          stack.peer.truth.cycles) in exporter.output.decode(), 'what is printed')
    stack.disconnected()


# ---- other programs on this machine --------------------------------------------------------------

def connect_rival(stack):
    """
    Another program connects to the board, which bluetoothd knows from one of ours. Returns the path
    of the characteristic that notifies.
    """
    device = '/org/bluez/hci0/dev_' + stack.peer.address.replace(':', '_')
    stack.reads(known := stack.start())
    equal(known.stop(), 0, 'exit status')
    stack.disconnected()
    check(stack.guest.run('busctl', 'call', 'org.bluez', device, 'org.bluez.Device1', 'Connect')
          is not None, 'Connect has failed')
    stack.eventually('services', lambda: stack.device('ServicesResolved') == 'true')
    return stack.find_characteristic()


def acquire(stack, path):
    """Another program calls AcquireNotify, and waits for the answer. Returns the process."""
    stack.rival_calls.append('AcquireNotify')
    return stack.guest.spawn(['busctl', '--timeout=600', 'call', 'org.bluez', path,
                              'org.bluez.GattCharacteristic1', 'AcquireNotify', 'a{sv}', '0'])


@case
def notifications_left_locked(stack):
    """
    Notifications that a program left acquired when it was killed: bluetoothd outlives us, we say
    what is wrong, and after a restart of bluetoothd the board is read.
    """
    path = connect_rival(stack)
    stack.peer('deaf on')
    program = acquire(stack, path)
    stack.eventually('AcquireNotify to be under way',
                     lambda: stack.characteristic('NotifyAcquired', path) == 'true')
    program.end(signal.SIGKILL)
    stack.peer('deaf off', 'drop 13')
    stack.eventually('the end of the link', lambda: stack.device('Connected') == 'false')
    equal(stack.characteristic('NotifyAcquired', path), 'true', 'NotifyAcquired')
    exporter = stack.start()
    exporter.logged('warning: .*another program holds its notifications, or has left them locked')
    exporter.until(lambda m: m('bms_operator_needed') == 1, 'a call for a person')
    equal(exporter.metrics()('bms_fault', fault='locked'), 1, 'the fault')
    equal(stack.bluez.status(), None, 'exit status of bluetoothd')
    stack.bluez.kill(signal.SIGTERM)
    stack.start_bluez()
    stack.reads(exporter)


@case
def two_programs(stack):
    """A second exporter leaves the board to the first one, says so, and takes over from it."""
    first = stack.start()
    stack.reads(first)
    second = stack.start()
    second.logged('warning: .*another program on this machine reads it')
    second.until(lambda m: m('bms_operator_needed') == 1, 'a call for a person')
    stack.reads(first)
    equal(first.metrics().sum('bms_link_sessions_total'), 1, 'sessions of the first one')
    equal(first.stop(), 0, 'exit status')
    stack.reads(second)
