# SPDX-License-Identifier: MIT
"""Why fresh values come late after some faults, and names of faults that only tests/soak has."""

REAL_TEXTS = {
    'deaf': 'board advertises and takes no link',
    'dropped-while-resolving': 'link dropped while services are looked at',
    'links-refused': 'the next 1 to 5 links end at once',
}

NOTES = {
    'links-refused':
        'Counted from its beginning, for only attempts use it up: at worst 4 s after one, 8 s after two '
        'or three, 23 s after five. Between attempts the back-off allows 0.25, 1, 2, 4 and 8 s; that '
        'sum of 15 s is the better part of it. They fail at once, and to repeat them faster would '
        'be no help for a board that goes on refusing.',
    'connect-unanswered':
        'What bluetoothd has lost can only be waited out: 15 s for Connect, and a new link behind it. A '
        'board that is out of range looks the same, and is heard at once when it is back.',
    'stale-services':
        'Counted from its beginning: up to 10 s until the poll that meets with it, three questions '
        'without an answer, two links that refuse notifications; then RemoveDevice, a discovery and a '
        'new link. bluetoothd takes 2 s to close each of the links.',
    'controller-wedged-silently':
        'Counted from its beginning. A Connect without an answer is no sign of a wedged controller '
        'before it has happened several times: a board out of range looks the same. A power cycle '
        'touches all that use the adapter, so it comes after the fifth failure, with up to 15 s for '
        'each.',
}
