"""tarn-query among clients that mean harm, while others only want their screens."""

import json
import pathlib
import re
import resource
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest
from survive_support import PacedPublisher, chance, tiers  # noqa: F401 (a fixture)
from tarn import PATIENCE
from tarn.workload import topics_for_examples

HEADER_S, IDLE_S, SEND_S = 2, 5, 2
SLACK_S = 3 * PATIENCE
RATE = 100
NOISE_MS = 10  # below this, a p99 says more about the machine than about the server
BUSY_MACHINE_MS = 1000  # nor below this, where other work shares it; one that waits for a dripping client waits longer
MEMORY_MIB = 96  # what all of them together may cost the server

GET = b"GET /v1/lenders/KB HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /v1/lenders/KB HTTP/1.1\r\nHost: a\r\n"
SECOND = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"  # what a smuggler would have answered too

# Refused whole: one answer of 4xx or 5xx at most, then the connection is closed, whatever comes behind.
CLOSED = {
    "both-lengths": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "two-lengths": POST + b"Content-Length: 0\r\nContent-Length: 35\r\n\r\n" + SECOND,
    "list-of-lengths": POST + b"Content-Length: 0, 35\r\n\r\n" + SECOND,
    "signed-length": POST + b"Content-Length: +0\r\n\r\n" + SECOND,
    "negative-length": POST + b"Content-Length: -1\r\n\r\n" + SECOND,
    "hex-length": POST + b"Content-Length: 0x0\r\n\r\n" + SECOND,
    "empty-length": POST + b"Content-Length: \r\n\r\n" + SECOND,
    "huge-length": POST + b"Content-Length: 99999999999999999999999999\r\n\r\n" + SECOND,
    "length-2^64": POST + b"Content-Length: 18446744073709551616\r\n\r\n" + SECOND,
    "blank-before-colon": POST + b"Content-Length : 35\r\n\r\n" + SECOND,
    "tab-before-colon": POST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "two-codings": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SECOND,
    "chunked-twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "hidden-coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SECOND,
    "coding-with-0x0b": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + SECOND,
    "coding-in-1.0": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "bad-chunk-size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n" + SECOND,
    "huge-chunk-size": POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + SECOND,
    "chunk-without-crlf": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab0\r\n\r\n" + SECOND,
    "chunk-size-with-blank": POST + b"Transfer-Encoding: chunked\r\n\r\n0 \n\r\n" + SECOND,
    "folded": GET + b"X: a\r\n b\r\n\r\n" + SECOND,
    "folded-first": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n" + SECOND,
    "bare-lf": b"GET /healthz HTTP/1.1\nHost: a\n\n" + SECOND,
    "bare-lf-field": GET + b"X: a\nContent-Length: 35\r\n\r\n" + SECOND,
    "bare-cr-field": GET + b"X: a\rContent-Length: 35\r\n\r\n" + SECOND,
    "nul-in-field": GET + b"X: a\x00b\r\n\r\n" + SECOND,
    "nul-in-target": b"GET /healthz\x00 HTTP/1.1\r\nHost: a\r\n\r\n" + SECOND,
    "no-name": GET + b": a\r\n\r\n" + SECOND,
    "no-colon": GET + b"nonsense\r\n\r\n" + SECOND,
    "name-not-token": GET + b"X(y): a\r\n\r\n" + SECOND,
    "two-hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + SECOND,
    "no-host": b"GET /healthz HTTP/1.1\r\n\r\n" + SECOND,
    "version-9": b"GET /healthz HTTP/9.9\r\nHost: a\r\n\r\n" + SECOND,
    "no-version": b"GET /healthz\r\n\r\n" + SECOND,
    "blanks-in-line": b"GET  /healthz  HTTP/1.1\r\nHost: a\r\n\r\n" + SECOND,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(50),
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "zeros": bytes(70000),
    "bomb-one-field": GET + b"X: " + b"a" * 10_000_000 + b"\r\n\r\n",
    "bomb-fields": GET + b"X: y\r\n" * 100_000 + b"\r\n",
    "bomb-target": b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "bomb-method": b"A" * 1_000_000,
    "bomb-body": POST + b"Content-Length: 1000000000\r\n\r\n" + bytes(1_000_000),
    "bomb-one-byte-chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 200_000,
    "bomb-chunk-extensions": POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 1_000_000,
    "bomb-trailers": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
    "bomb-empty-lines": b"\r\n" * 100_000,
}

# Understood, and answered 4xx.
REFUSED = [
    "/", "/v2/lenders/KB", "/v1/no-such-view/a", "/v1//KB", "/v1/lenders/", "/v1/lenders/a/b/c", "/v1/../../etc/passwd",
    "/v1/..%2f..%2fetc%2fpasswd", "/v1/lenders/%", "/v1/lenders/%4", "/v1/lenders/%zz", "/v1/lenders/%ff",
    "/v1/lenders/%c0%80", "/v1/lenders/%ed%a0%80", "/v1/genetic-result/%F0%9F", "/v1/lenders/" + "k" * 3000,
    "/v1/unified-balance/" + "%41" * 1000, "/v1/lenders/KB?fields=", "/v1/lenders/KB?fields=no.such.field",
    "/v1/lenders/KB?fields=" + "a." * 1500, "/v1/lenders/KB?fields=%00", "/v1/lenders/KB?at-least=x",
    "/v1/lenders/KB?at-least=x/0@99999999999999999999", "/v1/lenders/KB?wait=-1&at-least=a",
]


def connect(query, timeout_s):
    return socket.create_connection(("127.0.0.1", query.port), timeout=timeout_s)


def talk(query, data, pieces=(), timeout_s=HEADER_S + SLACK_S):
    """Sends, and reads until the other side closes. Returns all that came; TimeoutError when it stays open."""
    with connect(query, timeout_s) as connection:
        try:
            last = 0
            for piece in (*pieces, len(data)):
                connection.sendall(data[last:piece])
                last = piece
        except OSError:
            pass  # closed on us in the middle: an answer may still be there
        came = b""
        while True:
            try:
                more = connection.recv(65536)
            except ConnectionError:
                return came
            if not more:
                return came
            came += more


class Hostility:
    """Threads that do harm until they are told to stop, and what went otherwise than it must."""

    def __init__(self, query, chance):
        self.query = query
        self.chance = chance
        self.faults = []
        self.counts = {}
        self.stop = threading.Event()
        self.threads = []

    def run(self, harm):
        def go_on():
            while not self.stop.is_set():
                try:
                    harm(self)
                except Exception as fault:
                    self.faults.append(f"{harm.__name__}: {type(fault).__name__} {str(fault)[:300]}")
                    return
                self.counts[harm.__name__] = self.counts.get(harm.__name__, 0) + 1

        self.threads.append(threading.Thread(target=go_on, daemon=True))
        self.threads[-1].start()

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
        assert not self.faults, self.faults[:5]


def malformed_requests(self):
    name = self.chance.choice(list(CLOSED))
    data = CLOSED[name]
    pieces = sorted(self.chance.randrange(min(len(data), 200)) for _ in range(self.chance.randrange(4)))
    check_refused(self.query, name, data, pieces)


def check_refused(query, name, data, pieces=()):
    try:
        came = talk(query, data, pieces)
    except TimeoutError:
        raise AssertionError(f"{name}: still open after {HEADER_S + SLACK_S} s") from None
    assert came == b"" or came[:10] in (b"HTTP/1.1 4", b"HTTP/1.1 5"), f"{name}: {came[:60]}"
    assert len(re.findall(rb"HTTP/1\.1 \d{3} ", came)) <= 1, f"{name}: more than one answer: {came}"


def refused_requests(self):
    path = self.chance.choice(REFUSED)
    check_status(self.query, path)


def check_status(query, path):
    came = talk(query, f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert came[:10] == b"HTTP/1.1 4", f"{path}: {came[:60]}"
    head, body = came.split(b"\r\n\r\n", 1)
    assert b"application/problem+json" in head and 400 <= json.loads(body)["status"] < 500, f"{path}: {came}"


def noise(self):
    """Bytes by chance, or a good request with some of them turned: anything may be answered, but never hang."""
    if self.chance.random() < 0.5:
        data = self.chance.randbytes(self.chance.randrange(1, 5000)) + b"\r\n\r\n"
    else:
        data = bytearray(GET + b"Accept: application/json\r\nConnection: close\r\n\r\n")
        for _ in range(self.chance.randrange(1, 6)):
            data[self.chance.randrange(len(data))] = self.chance.randrange(256)
    talk(self.query, bytes(data), timeout_s=IDLE_S + SLACK_S)


def dripping_and_half_sent(self):
    """A hundred that drip, a hundred that send half a request: cut off when the header's time is up, drops or not."""
    connections = [connect(self.query, HEADER_S + SLACK_S) for _ in range(200)]
    for connection in connections:
        connection.sendall(GET + b"X: ")
    began = time.monotonic()
    while time.monotonic() - began < HEADER_S * 0.8 and not self.stop.is_set():
        for connection in connections[:100]:
            connection.sendall(b"a")
        time.sleep(0.2)
    for number, connection in enumerate(connections):
        try:
            came = connection.recv(4096)
        except ConnectionResetError:
            came = b""
        assert came == b"" or came.startswith(b"HTTP/1.1 408"), came[:60]
        connection.close()


def idle_connections(self):
    """Thousands that say nothing."""
    connections = [connect(self.query, IDLE_S + SLACK_S) for _ in range(self.idle_count)]
    for connection in connections:
        assert connection.recv(1) == b"", "an idle connection got something"
        connection.close()


def pipelined_and_never_read(self):
    """Sends requests for as long as they are taken, reads nothing: cut off, and costs no memory meanwhile."""
    with connect(self.query, SEND_S + SLACK_S) as connection:
        requests = (GET + b"\r\n") * 1000
        began = time.monotonic()
        try:
            while time.monotonic() - began < 3 * SEND_S + SLACK_S:
                connection.sendall(requests)
        except TimeoutError:
            raise AssertionError("a client that doesn't read is still connected") from None
        except OSError:
            return
        raise AssertionError("a client that doesn't read is served for ever")


def broken_off(self):
    """Resets in the middle of everything."""
    for _ in range(50):
        connection = connect(self.query, SLACK_S)
        connection.sendall((GET + b"\r\n")[:self.chance.randrange(len(GET))])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    time.sleep(0.05)


HARM = (malformed_requests, refused_requests, noise, dripping_and_half_sent, idle_connections, pipelined_and_never_read,
        broken_off)


def load(query, paths, seconds):
    program = pathlib.Path(__file__).parent / "http_load.py"
    done = subprocess.run([sys.executable, program, str(query.port), str(RATE), str(seconds)], input="\n".join(paths),
                          capture_output=True, text=True, timeout=(seconds + 30) * PATIENCE)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert not figures["failures"], figures["failures"][:5]
    assert set(figures["statuses"]) <= {"200", "404"} and figures["statuses"]["200"] > 0, figures["statuses"]
    return figures


def resident_mib(query):
    pages = int(pathlib.Path(f"/proc/{query.process.pid}/statm").read_text().split()[1])
    shared = int(pathlib.Path(f"/proc/{query.process.pid}/statm").read_text().split()[2])
    return (pages - shared) * resource.getpagesize() / 2**20


@pytest.fixture
def query(chance, kafka, new_topic, publisher, programs, store):
    topics = topics_for_examples(new_topic)
    PacedPublisher(publisher, topics, chance, distinct=3000).burst(3000)
    publisher.publish(topics["lender"], "lender.v1.LenderChanged", {"lender_id": "KB", "name": "KB"}, key="KB")
    publisher.flush()
    projector = programs.projector(store, kafka, topics).wait_caught_up()
    projector.stop()
    return programs.query(store, flags=["--header-timeout", f"{HEADER_S}s", "--idle-timeout", f"{IDLE_S}s",
                                        "--send-timeout", f"{SEND_S}s"])


@pytest.mark.parametrize("tier", [{}], ids=["short"])
def test_what_is_malformed_is_refused_and_answered_once_at_most(query, tier):
    for name, data in CLOSED.items():
        check_refused(query, name, data)
    for path in REFUSED:
        check_status(query, path)
    query.assert_alive()


@pytest.mark.parametrize("tier", [{}], ids=["short"])
def test_pipelined_requests_are_answered_all_and_in_order(query, tier):
    paths = [b"/v1/lenders/KB", b"/v1/lenders/nobody", b"/v1/no-such-view/a", b"/healthz"] * 500
    requests = b"".join(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n" for path in paths)
    with connect(query, 10 * PATIENCE) as connection:
        sending = threading.Thread(target=connection.sendall, args=(requests,), daemon=True)
        sending.start()
        with connection.makefile("rb") as stream:
            for path in paths:
                status = int(stream.readline().split()[1])
                length = 0
                while (line := stream.readline()) != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                body = stream.read(length)
                assert status == (200 if path in (b"/v1/lenders/KB", b"/healthz") else 404), (path, status)
                assert (b'"KB"' in body) == path.endswith(b"/KB"), (path, body)
        sending.join(10)


@tiers(short={"seconds": 20, "calm": 5, "idle": 2000},
       soak={"seconds": 120, "calm": 15, "idle": 5000, "fixed_seed": False})
def test_hostile_clients_cost_only_themselves(tier, chance, query):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 10000:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 10000), hard))
    paths = [f"/v1/{view}/u{user}" for view in ("monthly-spending", "unified-balance", "genetic-result")
             for user in range(0, 400, 9)] + ["/v1/lenders/KB"]
    before = load(query, paths, tier["calm"])
    memory = resident_mib(query)
    hostility = Hostility(query, chance)
    hostility.idle_count = tier["idle"]
    for harm in HARM:
        hostility.run(harm)
    during = load(query, paths, tier["seconds"])
    grown = resident_mib(query) - memory
    hostility.end()
    after = load(query, paths, tier["calm"])
    for name, figures in (("before", before), ("during", during), ("after", after)):
        print(f"{name}: p50 {figures['p50_ms']:.1f} ms, p99 {figures['p99_ms']:.1f} ms, {figures['statuses']}")
    print(f"done by the hostile: {hostility.counts}; memory grew by {grown:.1f} MiB")
    assert set(hostility.counts) == {harm.__name__ for harm in HARM}
    calm_ms = max(before["p99_ms"], after["p99_ms"], NOISE_MS)
    assert during["p50_ms"] <= 5 * max(before["p50_ms"], after["p50_ms"], NOISE_MS)
    assert during["p99_ms"] <= max(5 * calm_ms, BUSY_MACHINE_MS)
    assert grown < MEMORY_MIB
    assert query.metrics().sum("tarn_query_faults_total") == 0
