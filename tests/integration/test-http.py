#!/usr/bin/python3 -I
# SPDX-License-Identifier: MIT
"""What an HTTP client sees: paths, methods, formats, and that no client shuts out another."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out

import concurrent.futures
import http.client
import re
import select
import shutil
import socket
import subprocess
import urllib.parse

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness import ADDRESS, ADDRESS2, SLOWDOWN, WRAPPER, Answer, Bench, Metrics, check, equal
from readings import TRUE_BOARD, TRUTH, set_truth, true_board
from tap import Skip, run, test

TEXT = 'text/plain; version=0.0.4; charset=utf-8'
OPENMETRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8'
# As sent by these versions.
PROMETHEUS_2_42 = ('application/openmetrics-text;version=1.0.0,'
                   'application/openmetrics-text;version=0.0.1;q=0.75,'
                   'text/plain;version=0.0.4;q=0.5,*/*;q=0.1')
PROMETHEUS_3 = ('application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,'
                'application/openmetrics-text;version=0.0.1;q=0.4,'
                'text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,'
                'text/plain;version=0.0.4;q=0.2,*/*;q=0.1')


def read_board(bench, *arguments, **settings):
    """A board of which everything that can be read has been."""
    exporter = true_board(bench, '--poll.interval=1', *arguments, **settings)
    exporter.until(lambda m: m.all('bms_protection_events_total') and m('bms_up') == 1, 'readings')
    return exporter


def raw(exporter, data, limit=20):
    """Sends bytes, and reads until the server closes or has nothing more to say."""
    with socket.create_connection(('127.0.0.1', exporter.port), timeout=limit * SLOWDOWN) as one:
        answer = b''
        try:
            one.sendall(data)
            one.shutdown(socket.SHUT_WR)
            while True:
                part = one.recv(65536)
                if not part:
                    break
                answer += part
        except TimeoutError:
            raise
        except OSError:
            pass  # the server has closed it while more was being sent
        return answer


@test
def paths(bench):
    """Each path answers what it should, and others 404"""
    exporter = read_board(bench)
    answer = exporter.get('/')
    equal((answer.status, answer.type), (200, 'text/html; charset=utf-8'), '/')
    check('href="metrics"' in answer.text and ADDRESS in answer.text, 'the page misses something')
    equal(answer.headers['X-Content-Type-Options'], 'nosniff', 'X-Content-Type-Options')
    answer = exporter.get('/-/healthy')
    equal((answer.status, answer.text), (200, 'healthy\n'), '/-/healthy')
    answer = exporter.get('/-/ready')
    equal((answer.status, answer.text), (200, 'ready\n'), '/-/ready')
    equal(exporter.get('/metrics?name=x').status, 200, '/metrics with a query')
    for path in ('/metrics/', '/metric', '/favicon.ico', '/-/', '//metrics', '/../etc/passwd',
                 '/%3Cscript%3E'):
        answer = exporter.get(path)
        equal((answer.status, answer.type), (404, 'text/plain; charset=utf-8'), path)
        check('script' not in answer.text, 'the answer repeats the path')


@test
def other_path(bench):
    """--web.telemetry-path moves the metrics"""
    exporter = bench.up('--web.telemetry-path=/bms/values')
    equal(exporter.get('/metrics').status, 404, '/metrics')
    equal(exporter.get('/bms/values').status, 200, '/bms/values')
    links = re.findall('<a href="([^"]*)"', exporter.get('/').text)
    check('bms/values' in links, 'the page does not link to it')
    for link in links:
        equal(exporter.get(urllib.parse.urljoin('/', link)).status, 200, link)
        # The same page behind a proxy, which takes the sub-path off.
        path = urllib.parse.urljoin('http://proxy/house/', link)
        check(path.startswith('http://proxy/house/'), '%s leads to %s' % (link, path))


@test
def methods(bench):
    """GET and HEAD are answered; other methods get 405 and are told so"""
    exporter = read_board(bench)
    for method in ('POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'BREW'):
        answer = exporter.get('/metrics', method)
        equal((answer.status, answer.headers['Allow']), (405, 'GET, HEAD'), method)
    equal(exporter.get('/nothing', 'POST').status, 404, 'POST to what is not there')
    for path in ('/', '/metrics', '/-/healthy', '/-/ready'):
        answer = exporter.get(path, 'HEAD')
        equal((answer.status, answer.body), (200, b''), 'HEAD ' + path)
        check(int(answer.headers['Content-Length']) > 0, 'Content-Length of HEAD ' + path)
        equal(answer.type, exporter.get(path).type, 'Content-Type of HEAD ' + path)


@test
def keep_alive(bench):
    """One connection serves many requests, after a HEAD, a 404 and a 405 too"""
    exporter = read_board(bench)
    connection = http.client.HTTPConnection('127.0.0.1', exporter.port, timeout=20 * SLOWDOWN)
    connection.connect()
    kept = connection.sock
    for i in range(50):
        for method, path, status in (('GET', '/metrics', 200), ('HEAD', '/', 200),
                                     ('GET', '/nothing', 404), ('POST', '/metrics', 405)):
            connection.request(method, path)
            answer = Answer(connection.getresponse())
            equal(answer.status, status, '%s %s' % (method, path))
            check(connection.sock is kept, 'the connection was closed after %s %s' % (method, path))
            if i == 49 and path == '/metrics' and method == 'GET':
                TRUTH.check(Metrics(answer.text))
    connection.close()


@test
def negotiation(bench):
    """The Accept header decides on the format"""
    exporter = read_board(bench)
    for accept, expected in (
            (None, TEXT), ('', TEXT), ('*/*', TEXT), ('text/plain', TEXT), ('text/html', TEXT),
            ('application/openmetrics-text', OPENMETRICS), (PROMETHEUS_2_42, OPENMETRICS),
            (PROMETHEUS_3, OPENMETRICS),
            ('application/openmetrics-text; version=1.0.0; charset=utf-8', OPENMETRICS),
            ('application/openmetrics-text;version=0.0.1', TEXT),
            ('application/openmetrics-text;version="1.0.0"', OPENMETRICS),
            ('APPLICATION/OpenMetrics-Text', OPENMETRICS),
            ('text/plain;q=0.9, application/openmetrics-text;q=0.1', TEXT),
            ('application/openmetrics-text;q=0', TEXT),
            ('text/plain;version=0.0.4;q=1,*/*;q=0.1', TEXT),
            ('application/openmetrics-textual', TEXT), (';;;,,,"', TEXT), ('x' * 4000, TEXT)):
        headers = {} if accept is None else {'Accept': accept}
        answer = exporter.get('/metrics', headers=headers)
        equal((answer.status, answer.type), (200, expected), 'Accept: %s' % accept)
        equal(answer.text.endswith('# EOF\n'), expected == OPENMETRICS, 'EOF')


@test
def promtool(bench):
    """promtool check metrics finds nothing to complain of"""
    if not shutil.which('promtool'):
        raise Skip('there is no promtool')
    exporter = read_board(bench)
    for state in ('fresh', 'stale'):
        result = subprocess.run(['promtool', 'check', 'metrics'], input=exporter.get().body,
                                capture_output=True)
        equal((result.returncode, result.stdout + result.stderr), (0, b''),
              'promtool, readings ' + state)
        bench.sim('fault * silent')
        exporter.until(lambda m: m('bms_up') == 0, 'readings to vanish')


def openmetrics(exporter):
    """Parses strictly; returns families by name."""
    text = exporter.get(headers={'Accept': 'application/openmetrics-text'}).text
    families = {}
    for family in text_string_to_metric_families(text):
        check(family.name not in families, 'twice: ' + family.name)
        check(family.documentation, 'no HELP for ' + family.name)
        families[family.name] = family
    return families


@test
def strict_openmetrics(bench):
    """The OpenMetrics rendering passes the strict parser and says the same as the text"""
    exporter = read_board(bench)
    families = openmetrics(exporter)
    equal(families['bms_polls'].type, 'counter', 'type of bms_polls')
    equal(families['bms'].type, 'info', 'type of bms')
    equal(families['bms_mode'].type, 'stateset', 'type of bms_mode')
    equal(families['bms_poll_duration_seconds'].type, 'histogram', 'type of the histogram')
    equal(families['bms_pack_voltage_volts'].unit, 'volts', 'unit')
    metrics = exporter.metrics()
    served = {(s.name, frozenset(s.labels.items())) for f in families.values() for s in f.samples}
    moving = re.compile('process_|bms_poll_duration')
    equal({k for k in served if not moving.match(k[0])} ^
          {k for k in metrics.samples if not moving.match(k[0])}, set(), 'difference of the formats')
    bench.sim('fault * silent')
    exporter.until(lambda m: m('bms_up') == 0, 'readings to vanish')
    check('bms_pack_voltage_volts' not in {s.name for f in openmetrics(exporter).values()
                                           for s in f.samples}, 'readings have not vanished')


@test
def several_batteries_parse(bench):
    """With several batteries of odd names both formats parse and promtool is content"""
    bench.start_bus()
    bench.start_sim(ADDRESS + ',steady', ADDRESS2 + ',steady,cells=32,ntc=16,tail=16')
    exporter = bench.start('--poll.interval=1', ADDRESS + '={a=´b,c}', ADDRESS2 + '=# EOF')
    exporter.fresh(2)
    check(len(openmetrics(exporter)) > 60, 'few families')
    if shutil.which('promtool'):
        result = subprocess.run(['promtool', 'check', 'metrics'], input=exporter.get().body,
                                capture_output=True)
        equal((result.returncode, result.stdout + result.stderr), (0, b''), 'promtool')


@test
def process_metrics(bench):
    """The standard process metrics are there and plausible"""
    with open('/proc/self/stat') as file:
        if file.read().rpartition(')')[2].split()[17] == '0':  # threads
            raise Skip('/proc/self/stat is all zero, as under qemu-user')
    metrics = read_board(bench).metrics()
    for name in ('process_cpu_seconds_total', 'process_resident_memory_bytes',
                 'process_virtual_memory_bytes', 'process_open_fds', 'process_max_fds',
                 'process_start_time_seconds', 'process_threads'):
        check((metrics(name) or 0) > 0 or name == 'process_cpu_seconds_total', name)
    check(metrics('process_start_time_seconds') <= metrics('bms_last_update'), 'start time')
    labels = metrics.labels('bms_exporter_build_info')
    equal(set(labels), {'version', 'revision'}, 'labels of bms_exporter_build_info')


@test
def crowd(bench):
    """300 idle and slow connections do not keep a scrape out"""
    exporter = read_board(bench)
    crowd = []
    try:
        for i in range(300):
            one = socket.create_connection(('127.0.0.1', exporter.port), timeout=20 * SLOWDOWN)
            crowd.append(one)
            try:
                if i % 3 == 1:
                    one.sendall(b'GET /metr')
                elif i % 3 == 2:
                    one.sendall(b'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n')  # and never reads
            except (ConnectionResetError, BrokenPipeError):
                pass
            if i % 10 == 0:
                TRUTH.check(exporter.metrics())
        at = bench.sim.mark()
        for _ in range(3):
            at = bench.sim.until('reply .* 04', at)
            TRUTH.check(exporter.metrics())
        metrics = exporter.metrics()
        check(metrics('process_open_fds') < 100, 'open: %s' % metrics('process_open_fds'))
        equal(metrics.sum('bms_poll_failures_total'), 0, 'failed polls')
    finally:
        for one in crowd:
            one.close()


def connect_all(exporter, crowd, count):
    """Adds connections that say nothing to a crowd, in the place of those that were closed."""
    for one in [one for one in crowd if select.select([one], [], [], 0)[0]]:
        crowd.remove(one)
        one.close()
    while len(crowd) < count:
        crowd.append(socket.create_connection(('127.0.0.1', exporter.port), timeout=20 * SLOWDOWN))


@test
def few_descriptors(bench):
    """120 clients leave the descriptors that a restart of the bus needs, however few there are"""
    if WRAPPER:
        raise Skip('valgrind needs descriptors of its own')
    exporter = read_board(bench, env={'LIMIT_OPEN_FILES': '28'})
    told = exporter.count_log('28 open files leaves room for')
    crowd = []
    try:
        connect_all(exporter, crowd, 120)
        TRUTH.check(exporter.metrics())
        for _ in range(2):
            bench.bus.kill()
            exporter.until(lambda m: m('bms_up') == 0, 'readings to vanish')
            connect_all(exporter, crowd, 120)
            bench.start_bus()
            connect_all(exporter, crowd, 120)
            bench.start_sim(ADDRESS + TRUE_BOARD)
            set_truth(bench.sim)
            metrics = exporter.fresh()
            TRUTH.check(metrics)
            connect_all(exporter, crowd, 120)
        check(metrics('process_open_fds') <= 28 - 4, 'open: %s' % metrics('process_open_fds'))
    finally:
        for one in crowd:
            one.close()
    equal((told, exporter.count_log('web:')), (1, 1), 'lines about descriptors')


@test
def too_few_descriptors(bench):
    """Where the limit leaves no room for a single connection, the start fails and says so"""
    if WRAPPER:
        raise Skip('valgrind needs descriptors of its own')
    exporter = bench.start(env={'LIMIT_OPEN_FILES': '12'})
    equal(exporter.end(), 1, 'exit status')
    equal(len(exporter.log), 1, 'lines: %s' % exporter.log)
    check('the limit of 12 open files leaves no room for connections' in exporter.log[0],
          exporter.log[0])


GARBAGE = (
    b'\0' * 100, b'\xff' * 1000, b'GET\r\n\r\n', b'GET / HTTP/9.9\r\n\r\n', b'\r\n' * 5000,
    b'GET /' + b'a' * 100000 + b' HTTP/1.1\r\nHost: x\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: x\r\n' + b'X: ' + b'y' * 100000 + b'\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: x\r\n' + b'X: y\r\n' * 5000 + b'\r\n',
    b'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n',
    b'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'\x55' * 300,
    b'GET /metrics', b'', b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')


@test
def garbage(bench):
    """Garbage instead of requests is answered with an error or not at all"""
    exporter = read_board(bench)
    # At once: some of them are waited on until their time is over.
    with concurrent.futures.ThreadPoolExecutor(len(GARBAGE)) as pool:
        answers = list(pool.map(lambda data: raw(exporter, data), GARBAGE))
    for data, answer in zip(GARBAGE, answers):
        check(not answer or re.match(rb'HTTP/1\.[01] [2345]\d\d ', answer),
              '%r for %r' % (answer[:60], data[:30]))
        check(b'bms_up' not in answer, 'metrics for %r' % data[:30])
    TRUTH.check(exporter.metrics())
    equal([line for line in exporter.log if 'warning' in line or 'error' in line], [], 'warnings')


@test
def big_post(bench):
    """A POST of 200 kB is refused with 405, and polls go on"""
    exporter = read_board(bench)
    for expect in ({}, {'Expect': '100-continue'}):
        answer = exporter.get('/metrics', 'POST', body=b'x' * 200000, headers=expect)
        equal(answer.status, 405, 'status')
    at = bench.sim.mark()
    bench.sim.until('reply .* 04', at)
    TRUTH.check(exporter.metrics())


@test
def pipelined(bench):
    """Requests sent at once are answered in their order"""
    exporter = read_board(bench)
    data = (b'GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n'
            b'GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n'
            b'GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    answer = raw(exporter, data)
    equal(re.findall(rb'HTTP/1.1 (\d+)', answer), [b'200', b'200', b'404'], 'answers')


@test
def old_client(bench):
    """An HTTP/1.0 client is answered and the connection closed"""
    exporter = read_board(bench)
    answer = raw(exporter, b'GET /metrics HTTP/1.0\r\n\r\n')
    check(answer.startswith(b'HTTP/1.') and b' 200 ' in answer[:20], 'answer %r' % answer[:30])
    check(b'\nbms_up{' in answer, 'no metrics')


@test
def port_in_use(bench):
    """A port that is in use: exit status 1 and a line that says so"""
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        exporter = bench.start('--web.listen-address=127.0.0.1:%d' % port, hand_over=False)
        equal(exporter.end(), 1, 'exit status')
        equal(len(exporter.log), 1, 'lines: %s' % exporter.log)
        check(re.match('bms-exporter: error: cannot listen on .*:%d: .*already in use' % port,
                       exporter.log[0]), exporter.log[0])


def listening(bench, make_arguments, tries=20):
    """An exporter that listens by itself; another port is tried if one is taken meanwhile."""
    for _ in range(tries):
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        exporter = bench.start(*make_arguments(port), hand_over=False)
        exporter.port = port
        bench.eventually('a line', lambda: exporter.log or exporter.status() is not None)
        if exporter.count_log('already in use') == 0:
            return exporter
        exporter.end()
    raise AssertionError('no free port')


@test
def listens_by_itself(bench):
    """It listens where it is told to, on several addresses, and says so"""
    bench.start_bus()
    bench.start_sim()
    exporter = listening(bench, lambda port: ['--web.listen-address=127.0.0.1:%d' % port,
                                              '--web.listen-address=127.0.0.2:%d' % port])
    exporter.logged('serving http://127.0.0.2:%d/metrics' % exporter.port)
    exporter.fresh()
    for host in ('127.0.0.1', '127.0.0.2'):
        with socket.create_connection((host, exporter.port), timeout=20 * SLOWDOWN) as one:
            one.sendall(b'GET /-/ready HTTP/1.0\r\n\r\n')
            check(b'200' in one.recv(1000), host)
    # Its last connections are still in TIME_WAIT.
    exporter.stop()
    again = bench.start('--web.listen-address=127.0.0.1:%d' % exporter.port, hand_over=False)
    again.port = exporter.port
    again.logged('serving ')
    equal(again.get('/-/healthy').status, 200, '/-/healthy')


@test
def every_address(bench):
    """A port alone means IPv4 and IPv6"""
    bench.start_bus()
    bench.start_sim()
    exporter = listening(bench, lambda port: ['--web.listen-address=:%d' % port])
    exporter.logged('serving http://localhost:%d/metrics' % exporter.port)
    equal(exporter.get('/-/healthy').status, 200, '/-/healthy over IPv4')
    try:
        one = socket.create_connection(('::1', exporter.port), timeout=20 * SLOWDOWN)
    except OSError as error:
        raise Skip('no IPv6 here: %s' % error)
    with one:
        one.sendall(b'GET /-/healthy HTTP/1.0\r\n\r\n')
        check(b'200' in one.recv(1000), '/-/healthy over IPv6')


run(Bench)
