# SPDX-License-Identifier: MIT
"""
The inside of a running virtual machine, as the cases see it: processes, and time.

    guest.run('cat', '/proc/uptime')        what it has printed
    child = guest.spawn(['btvirt', '-l1'])
    guest.wait(0.5)                         lets half a second pass there, or less if anything happens

Time stands (almost) still there but for wait(), and takes none here.
"""

import os
import select
import socket
import struct
import time

HANGS = 600  # s on the host, without an answer


class Gone(Exception):
    """The machine has ended, or does not answer."""


class Child:
    """A process in there."""

    def __init__(self, guest, pid, on_output=None):
        self.guest = guest
        self.pid = pid
        self.status = None  # exit status, negative for a signal; None while it runs
        self.said = {1: b'', 2: b''}
        self.on_output = on_output

    def heard(self, stream, content):
        self.said[stream] += content
        if self.on_output:
            self.on_output(stream)

    def take_lines(self, stream):
        """The complete lines since the last time."""
        *lines, self.said[stream] = self.said[stream].split(b'\n')
        return [line.decode('utf-8', 'backslashreplace') for line in lines]

    def write(self, text):
        """Gives it something to read; an empty text ends its input."""
        if self.status is None:
            self.guest.request('input', self.pid, text)

    def signal(self, number):
        if self.status is None:
            self.guest.request('signal', self.pid, int(number))

    def join(self):
        while self.status is None:
            self.guest.wait(60)

    def end(self, number=None):
        """Ends it by a signal, or by the end of its input; it may end with the machine, too."""
        try:
            if number is None:
                self.write('')
            else:
                self.signal(number)
            self.join()
        except Gone:
            pass


class Guest:
    def __init__(self, machine, image, console):
        self.console = console
        self.now = 0.0  # s
        self.children = {}
        self.answer = None
        self.received = b''
        open(console, 'w').close()
        self.socket, far = socket.socketpair()
        with far:
            self.process = machine.boot(image, console, far.fileno())
        try:
            self._await_answer()  # the agent's greeting
        except Gone:
            self.end()
            raise

    # ---- the channel -----------------------------------------------------------------------------

    def _receive(self, count):
        deadline = time.monotonic() + HANGS
        while len(self.received) < count:
            ready, _, _ = select.select([self.socket], [], [], max(0, deadline - time.monotonic()))
            part = self.socket.recv(1 << 20) if ready else b''
            if not part:
                raise Gone('the virtual machine %s; it said:\n%s' % (
                    'has ended' if ready else 'hangs', self.last_words()))
            self.received += part
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def _handle_message(self):
        size, = struct.unpack('=I', self._receive(4))
        line, _, content = self._receive(size).partition(b'\n')
        when, word, *words = line.decode().split(' ')
        self.now = int(when) / 1e6
        if word == 'out':
            child = self.children.get(int(words[0]))
            if child:
                child.heard(int(words[1]), content)
        elif word == 'end':
            child = self.children.pop(int(words[0]), None)
            if child:
                child.status = os.waitstatus_to_exitcode(int(content))
        else:
            self.answer = word, content.decode()

    def _await_answer(self):
        self.answer = None
        while not self.answer:
            self._handle_message()
        return self.answer

    def request(self, *fields):
        message = '\0'.join(str(field) for field in fields).encode()
        try:
            self.socket.sendall(struct.pack('=I', len(message)) + message)
        except OSError:
            pass  # the answer will be missing
        word, text = self._await_answer()
        if word != 'done':
            raise OSError('%s: %s' % (fields[0], text))
        return text

    # ---- what cases need -------------------------------------------------------------------------

    def wait(self, seconds):
        self.request('wait', int(seconds * 1000))

    def spawn(self, command, user=0, file='', text='', on_output=None):
        """Starts a process; its output goes to a file in there, or to the Child."""
        pid = int(self.request('spawn', user, file, text, *command))
        child = self.children[pid] = Child(self, pid, on_output)
        return child

    def run(self, *command, text=''):
        """Runs a process to its end; returns its output as bytes, or None if it failed."""
        child = self.spawn(command, text=text)
        child.join()
        return child.said[1] if child.status == 0 else None

    def shell(self, script):
        return (self.run('sh', '-c', script) or b'').decode()

    def last_words(self):
        with open(self.console, encoding='utf-8', errors='backslashreplace') as file:
            return ''.join(file.readlines()[-30:])

    def end(self):
        self.process.kill()
        self.process.wait()
        self.socket.close()
