# SPDX-License-Identifier: MIT
"""
Buses that a D-Bus daemon would never be: one that says nothing, and one between a client and the
real one that keeps the bus' own replies back.
"""

import os
import socket
import struct
import threading

HEADER = 16  # bytes before the fields of a message
CALL = 1
REPLIES = (2, 3)  # method return, error
REPLY_SERIAL = 5  # of the fields


class SilentBus:
    """Takes every connection and says nothing."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(16)

    def kill(self):
        if self.socket.fileno() >= 0:
            self.socket.close()
            os.unlink(self.path)


def _fields(header):
    """Yields the fields of a message, as (code, value); of a value only what is a number."""
    end = HEADER + struct.unpack_from('<I', header, 12)[0]
    at = HEADER
    while at < end:
        code, kind = header[at], header[at + 2:at + 3]
        at += 4
        if kind == b'g':
            yield code, None
            at += 1 + header[at] + 1
        else:
            at = (at + 3) // 4 * 4
            number = struct.unpack_from('<I', header, at)[0]
            yield code, number if kind == b'u' else None
            at += 4 if kind == b'u' else 4 + number + 1
        at = (at + 7) // 8 * 8


class SlowBus:
    """Stands between clients and a bus: hold(METHOD) keeps replies of the bus itself back."""

    def __init__(self, bench, path, real):
        self.bench = bench
        self.path = path
        self.real = real
        self.method = None
        self.lock = threading.Lock()
        self.asked = set()  # serials
        self.held = []      # (client, message)
        self.open = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, method):
        self.method = method.encode() + b'\0'

    def release(self):
        """Sends what was kept back, and keeps no more."""
        with self.lock:
            self.method = None
            for client, message in self.held:
                client.sendall(message)
            self.held = []

    def _accept(self):
        while True:
            try:
                client = self.socket.accept()[0]
            except OSError:
                return
            bus = socket.socket(socket.AF_UNIX)
            bus.connect(self.real)
            self.open += [client, bus]
            threading.Thread(target=self._forward, args=(client, bus, True), daemon=True).start()
            threading.Thread(target=self._forward, args=(bus, client, False), daemon=True).start()

    def _forward(self, source, target, to_bus):
        with source.makefile('rb') as file:
            try:
                self._greet(file, target, to_bus)
                while self._message(file, target, to_bus):
                    pass
            except OSError:
                pass
        try:
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    @staticmethod
    def _greet(file, target, to_bus):
        """The lines with which a connection begins; messages begin with their byte order."""
        line = None
        while line != b'BEGIN\r\n' if to_bus else file.peek(1)[:1] not in (b'l', b''):
            line = file.readline()
            target.sendall(line)
            if not line:
                return

    def _message(self, file, target, to_bus):
        header = file.read(HEADER)
        if len(header) < HEADER:
            return False
        body, serial, fields = struct.unpack('<III', header[4:])
        header += file.read((fields + 7) // 8 * 8)
        message = header + file.read(body)
        with self.lock:
            if to_bus and header[1] == CALL and self.method and self.method in header:
                self.asked.add(serial)
            elif not to_bus and header[1] in REPLIES and \
                    dict(_fields(header))[REPLY_SERIAL] in self.asked:
                self.held.append((target, message))
                self.bench.pulse.beat()
                return True
            target.sendall(message)
        return True

    def kill(self):
        self.socket.close()
        for each in self.open:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()
