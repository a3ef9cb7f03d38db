# SPDX-License-Identifier: MIT
"""
What an integration test stands on: a private D-Bus bus, the stand-in for bluetoothd with its
simulated batteries, and the shipped bms-exporter, unchanged, between them and the test.

    bench.up()                             bus, sim with one battery, exporter
    bench.sim('fault * no-answer 2')       commands of tests/sim/README.md
    bench.sim.until('request .* 03')       waits for an event
    bench.exporter.until(lambda m: m('bms_up') == 1, 'readings')
    bench.exporter.logged('first readings')

Nothing sleeps and nothing asserts how long anything takes: Bench.eventually() waits until what is
wanted is there, looking again whenever something happened, and fails after a generous limit.

Environment:
    BMS_EXPORTER  the program under test (build/bms-exporter)
    BMS_SIM       the stand-in (build/bms-sim)
    BMS_WRAPPER   a command to run the exporter under, as "valgrind --error-exitcode=99"
    BMS_SLOWDOWN  factor for all limits of waits
"""

import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from prometheus_client.parser import text_string_to_metric_families

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXPORTER = os.path.abspath(os.environ.get('BMS_EXPORTER', ROOT + '/build/bms-exporter'))
SIM = os.path.abspath(os.environ.get('BMS_SIM', ROOT + '/build/bms-sim'))
WRAPPER = shlex.split(os.environ.get('BMS_WRAPPER', ''))
SLOWDOWN = float(os.environ.get('BMS_SLOWDOWN', '1'))

ADDRESS = 'A4:C1:38:00:00:01'
ADDRESS2 = 'A4:C1:38:00:00:02'
ADDRESS3 = 'A4:C1:38:00:00:03'

LIMIT = 40      # s: of a wait, unless the test knows better
LOOK_AGAIN = .1  # s: at the latest, where nothing tells that something has happened

# Nothing of the machine's own service manager, buses or proxies must reach what is tested.
FOREIGN = re.compile('LISTEN_|WATCHDOG_|DBUS_|NOTIFY_SOCKET|JOURNAL_STREAM|G_|LC_|LANG')

# The stand-in's times are those of the real bluetoothd unless a test is in a hurry.
QUICK = ('connect-time 0.01,0.03', 'resolve-time 0.02,0.05', 'discover-time 0.02,0.05',
         'disconnect-time 0.05', 'supervision-timeout 0.05', 'notify-time 0.01',
         'write-time 0.01', 'start-time 0.02', 'power-time 0.01', 'latency 0.01,0.03')

BUS_CONFIG = '''<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>bms-test</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    %s
  </policy>
</busconfig>
'''

# As systemd does it: the socket is descriptor 3, and a variable names the process it is for;
# another names the file that standard error is, if that is the journal. A third sets ulimit -n.
AS_SERVICE = '''
import os, sys
if sys.argv[1] != "none":
    os.dup2(int(sys.argv[1]), 3)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
if os.environ.get("JOURNAL_STREAM") == "stderr":
    here = os.fstat(2)
    os.environ["JOURNAL_STREAM"] = "%d:%d" % (here.st_dev, here.st_ino)
if "LIMIT_OPEN_FILES" in os.environ:
    import resource
    files = int(os.environ.pop("LIMIT_OPEN_FILES"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
os.execvp(sys.argv[2], sys.argv[2:])
'''


class Failed(AssertionError):
    """What a test expected did not happen."""


def check(condition, text):
    if not condition:
        raise Failed(text)


def equal(seen, expected, what):
    check(seen == expected, '%s: %r, expected %r' % (what, seen, expected))


class Pulse:
    """Beats whenever anything happened anywhere, so that waits look again."""

    def __init__(self):
        self.condition = threading.Condition()
        self.count = 0

    def beat(self):
        with self.condition:
            self.count += 1
            self.condition.notify_all()

    def wait(self, seen):
        with self.condition:
            self.condition.wait_for(lambda: self.count != seen, LOOK_AGAIN)


class Process:
    """A child and its lines on standard error. It dies with this process, whatever happens."""

    def __init__(self, pulse, name, command, env, descriptors=(), deaf=False):
        self.pulse = pulse
        self.name = name
        self.command = command
        self.lines = []
        self.output = b''
        command = ['setpriv', '--pdeathsig', 'KILL', '--'] + command
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, env=env, pass_fds=descriptors)
        self.threads = [threading.Thread(target=self._read_output, daemon=True)]
        if not deaf:
            self.threads.append(threading.Thread(target=self._read_lines, daemon=True))
        for thread in self.threads:
            thread.start()

    def _read_lines(self):
        for line in self.child.stderr:
            self.lines.append(line.decode('utf-8', 'backslashreplace').rstrip('\n'))
            self.pulse.beat()
        self.pulse.beat()

    def _read_output(self):
        while True:
            part = self.child.stdout.read1(65536)
            if not part:
                break
            self.output += part
            self.pulse.beat()

    def signal(self, number):
        self.child.send_signal(number)

    def status(self):
        """Exit status, negative for a signal; None while it runs."""
        return self.child.poll()

    def collect(self):
        """Waits until all that an ended process has said is read."""
        for thread in self.threads:
            thread.join()
        self.child.stdout.close()
        self.child.stderr.close()

    def kill(self):
        if self.status() is None:
            self.child.kill()
        self.child.wait()
        self.collect()


class Bus(Process):
    """A bus of its own; rules are added to a policy that allows everything."""

    def __init__(self, bench, rules=''):
        path = bench.directory + '/bus'
        config = bench.directory + '/bus.conf'
        with open(config, 'w') as file:
            file.write(BUS_CONFIG % (path, rules))
        super().__init__(bench.pulse, 'dbus-daemon',
                         ['dbus-daemon', '--nofork', '--config-file=' + config,
                          '--print-address=1'], bench.environment())
        bench.eventually('the bus', lambda: b'\n' in self.output)


class Sim(Process):
    """bms-sim and its control socket."""

    def __init__(self, bench, *arguments):
        self.bench = bench
        self.path = bench.directory + '/sim'
        self.events = []  # (when, text)
        self.answers = []
        self.crashes = 0  # of bluetoothd, that the test itself has brought about
        self.socket = None
        super().__init__(bench.pulse, 'bms-sim',
                         [SIM, '--control=' + self.path, '--quiet'] + list(arguments),
                         bench.environment())
        bench.eventually('bms-sim', lambda: b'ready' in self.output or self.status() is not None)
        check(self.status() is None, 'bms-sim ended')
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(self.path)
        self.reader = threading.Thread(target=self._read_socket, daemon=True)
        self.reader.start()
        self('events')

    def _read_socket(self):
        with self.socket.makefile('r', encoding='utf-8', errors='replace') as file:
            for line in file:
                if line.startswith('event '):
                    self.events.append((time.monotonic(), line[6:].rstrip()))
                else:
                    self.answers.append(line.rstrip())
                self.pulse.beat()

    def __call__(self, *commands):
        """Sends commands; returns the answer to the last one without its ok."""
        for command in commands:
            number = len(self.answers)
            self.socket.sendall(command.encode() + b'\n')
            self.bench.eventually('an answer to ' + command, lambda: len(self.answers) > number)
            check(self.answers[number].startswith('ok'),
                  'bms-sim: %s: %s' % (command, self.answers[number]))
        return self.answers[-1][3:]

    def state(self):
        return json.loads(self('status'))

    def battery(self, address=ADDRESS):
        return next(b for b in self.state()['batteries'] if b['address'] == address)

    def mark(self):
        """A place in the list of events, for until() and seen()."""
        return len(self.events)

    def seen(self, pattern, after=0):
        """Events since a mark that match, as (when, text)."""
        return [e for e in self.events[after:] if re.match(pattern, e[1])]

    def until(self, pattern, after=0, limit=LIMIT):
        """Waits for an event; returns the mark behind it."""
        def find():
            for i in range(after, len(self.events)):
                if re.match(pattern, self.events[i][1]):
                    return i + 1
            return None
        return self.bench.eventually('event "%s"' % pattern, find, limit)

    def check(self):
        """What must hold whatever a test did."""
        state = self.state()
        equal(state['violations'], 0, 'requests that a monitor must never send')
        equal(state['overlapping-connects'], 0, 'Connect while another was under way')
        equal(state['scan-while-connecting'], 0, 'discovery and Connect at the same time')
        equal(state['crashes'], self.crashes, 'crashes of bluetoothd')

    def close(self):
        """Ends it in an orderly way, and has it checked."""
        if self.status() is None:
            self.check()
            self('quit')
            self.bench.eventually('the end of bms-sim', lambda: self.status() is not None)
        equal(self.status(), 0, 'exit status of bms-sim')
        self.collect()
        equal(self.lines, [], 'complaints of bms-sim')

    def kill(self):
        super().kill()
        if self.socket is not None:
            self.socket.shutdown(socket.SHUT_RDWR)
            self.reader.join()
            self.socket.close()
            self.socket = None


class Metrics:
    """One scrape."""

    def __init__(self, text):
        self.text = text
        self.types = {}
        self.samples = {}
        for family in text_string_to_metric_families(text):
            self.types[family.name] = family.type
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                check(key not in self.samples, 'twice in one scrape: %s' % (key,))
                self.samples[key] = sample.value

    def all(self, name, **labels):
        """Values of the samples that have this name and at least these labels."""
        wanted = labels.items()
        return {key[1]: value for key, value in self.samples.items()
                if key[0] == name and wanted <= set(key[1])}

    def __call__(self, name, **labels):
        """The value of the one sample with this name and these labels, None without."""
        found = list(self.all(name, **labels).values())
        check(len(found) <= 1, 'more than one %s%s' % (name, labels))
        return found[0] if found else None

    def labels(self, name):
        """The labels of the only sample with this name."""
        found = list(self.all(name))
        equal(len(found), 1, 'samples of ' + name)
        return dict(found[0])

    def sum(self, name, **labels):
        return sum(self.all(name, **labels).values())

    def names(self):
        return {name for name, labels in self.samples}


class Answer:
    """An HTTP answer."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()
        self.text = self.body.decode('utf-8')
        self.type = response.headers['Content-Type']


class Exporter(Process):
    """
    The program under test. hand_over is whether it gets a listening socket as from systemd, or the
    descriptor that it gets instead; what it says to a deaf test is not read. wrapper is a command to
    run it under.
    """

    def __init__(self, bench, *arguments, env=None, hand_over=True, deaf=False, wrapper=()):
        self.bench = bench
        self.scraped = None
        self.awaited = False  # the test has seen its end
        self.port = None
        descriptors = []
        listener = None
        if hand_over is True:
            # No race for a free port: it is taken before the exporter starts.
            listener = socket.create_server(('127.0.0.1', 0), backlog=1024)
            self.port = listener.getsockname()[1]
            descriptors = [listener.fileno()]
        elif hand_over is not False:
            descriptors = [hand_over]
        command = [sys.executable, '-I', '-S', '-c', AS_SERVICE,
                   str(descriptors[0]) if descriptors else 'none']
        command += list(wrapper) + WRAPPER + [EXPORTER] + list(arguments)
        try:
            super().__init__(bench.pulse, 'bms-exporter', command, bench.environment(env),
                             descriptors, deaf)
        finally:
            if listener:
                listener.close()

    @property
    def log(self):
        """Its own lines, without the wrapper's."""
        return [line for line in self.lines if not line.startswith('==')]

    def logged(self, pattern, after=0, limit=LIMIT):
        """Waits for a line; returns the number of lines up to and with it."""
        def find():
            for i in range(after, len(self.log)):
                if re.search(pattern, self.log[i]):
                    return i + 1
            return None
        return self.bench.eventually('log line "%s"' % pattern, find, limit)

    def count_log(self, pattern):
        return len([line for line in self.log if re.search(pattern, line)])

    def get(self, path='/metrics', method='GET', headers=None, body=None):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=20 * SLOWDOWN)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def metrics(self):
        answer = self.get()
        equal(answer.status, 200, 'status of /metrics')
        self.scraped = answer.text
        return Metrics(answer.text)

    def until(self, condition, what, limit=LIMIT):
        """Scrapes until condition(metrics) holds; returns that scrape."""
        def look():
            metrics = self.metrics()
            return metrics if condition(metrics) else None
        return self.bench.eventually(what, look, limit)

    def fresh(self, n=1, limit=LIMIT):
        """Waits until n batteries have fresh readings."""
        return self.until(lambda m: sum(m.all('bms_up').values()) == n, 'fresh readings', limit)

    def end(self, limit=LIMIT):
        """Waits for its end; returns the exit status."""
        self.bench.eventually('the end of bms-exporter', lambda: self.status() is not None, limit)
        self.collect()
        self.awaited = True
        return self.status()

    def stop(self, number=signal.SIGTERM, limit=LIMIT):
        """Asks it to end; returns the exit status."""
        self.signal(number)
        return self.end(limit)

    def close(self):
        """Ends it if the test has not, and checks what must hold whatever a test did."""
        if not self.awaited:
            check(self.status() is None, 'bms-exporter ended with %s' % self.status())
            equal(self.stop(), 0, 'exit status of bms-exporter')
        said = [line for line in self.log if re.search('GLib|Gio|CRITICAL|runtime error', line)]
        equal(said, [], 'messages that tell of a mistake in the program')


class NotifySocket:
    """What a service manager listens to."""

    def __init__(self, bench):
        self.path = bench.directory + '/notify'
        self.bench = bench
        self.messages = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while True:
            text = self.socket.recv(65536).decode('utf-8')
            if text == 'close':
                return
            self.messages.extend(text.split('\n'))
            self.bench.pulse.beat()

    def until(self, pattern, after=0):
        def find():
            for i in range(after, len(self.messages)):
                if re.match(pattern, self.messages[i]):
                    return i + 1
            return None
        return self.bench.eventually('notification "%s"' % pattern, find)

    def kill(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.sendto(b'close', self.path)
        self.thread.join()
        self.socket.close()


class Bench:
    """All that one test has started. As a context manager it ends it, whatever has happened."""

    def __init__(self):
        self.pulse = Pulse()
        self.directory = None
        self.bus = None
        self.sim = None
        self.exporter = None
        self.started = []
        self.interrupted = False
        self.report = ''

    # ---- starting ----------------------------------------------------------------------------

    def environment(self, more=None):
        env = {k: v for k, v in os.environ.items() if not FOREIGN.match(k)}
        env.update(DBUS_SYSTEM_BUS_ADDRESS='unix:path=' + self.directory + '/bus',
                   LC_ALL='C.UTF-8')
        env.update(more or {})
        return env

    def start_bus(self, rules=''):
        self.bus = self._keep(Bus(self, rules))

    def start_sim(self, *batteries, faithful=False, arguments=()):
        """Batteries as for --battery; the sim's own default without."""
        self.sim = self._keep(Sim(self, *('--battery=' + b for b in batteries), *arguments))
        if not faithful:
            self.sim(*('set ' + each for each in QUICK))
        return self.sim

    def start(self, *arguments, **settings):
        """Starts an exporter; the battery is the first one unless arguments name any, or none is
        needed."""
        arguments = list(arguments)
        if not any(re.match('[0-9A-Fa-f]{2}:|--scan|--check|--config', a) for a in arguments):
            arguments.append(ADDRESS)
        self.exporter = self._keep(Exporter(self, *arguments, **settings))
        return self.exporter

    def up(self, *arguments, battery=ADDRESS + ',steady', faithful=False, **settings):
        """Bus, sim with one steady battery, exporter that polls twice a second."""
        self.start_bus()
        self.start_sim(battery, faithful=faithful)
        if not any(a.startswith('--poll.interval') for a in arguments):
            arguments = ('--poll.interval=500ms',) + arguments
        return self.start(*arguments, **settings)

    def notify_socket(self):
        return self._keep(NotifySocket(self))

    def _keep(self, what):
        self.started.append(what)
        return what

    # ---- waiting -----------------------------------------------------------------------------

    def eventually(self, what, condition, limit=LIMIT):
        """The only wait there is: until condition() is true; returns its value."""
        limit *= SLOWDOWN
        deadline = time.monotonic() + limit
        while True:
            check(not self.interrupted, 'interrupted')
            seen = self.pulse.count
            value = condition()
            if value:
                return value
            check(time.monotonic() < deadline, 'waited %g s in vain for %s' % (limit, what))
            self.pulse.wait(seen)

    # ---- ending ------------------------------------------------------------------------------

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix='bms-test-')
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self._close()
        except BaseException:
            self.report = self._describe()
            raise
        else:
            if kind is not None:
                self.report = self._describe()
        finally:
            for each in reversed(self.started):
                each.kill()
            shutil.rmtree(self.directory, ignore_errors=True)
        return False

    def _close(self):
        # First the exporters, then what they stand on.
        for each in reversed(self.started):
            if isinstance(each, Exporter):
                each.close()
        for each in self.started:
            if isinstance(each, Sim):
                each.close()

    def _describe(self):
        """What there is to know about a failure."""
        text = []
        for each in self.started:
            if not isinstance(each, Process):
                continue
            text.append('\n---- %s: %s' % (each.name, 'running' if each.status() is None else
                                           'ended with %s' % each.status()))
            text.append(' '.join(a for a in each.command if '\n' not in a))
            text += each.lines[-60:]
            if isinstance(each, Sim):
                origin = each.events[0][0] if each.events else 0
                text += ['%8.3f %s' % (when - origin, event) for when, event in each.events[-60:]]
                try:
                    text.append(each('status'))
                except Exception as error:
                    text.append('no status: %s' % error)
            if isinstance(each, Exporter) and each.scraped:
                text += [line for line in each.scraped.splitlines()
                         if re.match('bms_(up|conn|poll_f|polls|frame|link_s|last)', line)]
        return '\n'.join(text)
