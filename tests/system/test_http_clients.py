"""tarn-query and clients that aren't polite, and operators that make mistakes. No Kafka: there is no store."""

import signal
import socket
import time

import pytest

from tarn import BUILD, PATIENCE
from tarn.programs import run_command
from tarn.waiting import wait_until


@pytest.fixture
def query(programs, store):
    return programs.query(store, wait_ready=False, flags=["--header-timeout", "500ms", "--idle-timeout", "2s",
                                                          "--max-connections", "50"])


def connect(query):
    return socket.create_connection(("127.0.0.1", query.port), timeout=20 * PATIENCE)


def read_answer(connection):
    """Status, header lines and body of one answer."""
    with connection.makefile("rb") as stream:
        status = stream.readline()
        fields = {}
        while (line := stream.readline()) not in (b"\r\n", b""):
            name, value = line.decode().rstrip("\r\n").split(": ", 1)
            fields[name] = value
        body = stream.read(int(fields.get("Content-Length", 0)))
    return int(status.split()[1]), fields, body


def test_slow_clients_cost_only_themselves(query):
    dripping = [connect(query) for _ in range(40)]
    for connection in dripping:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
    began = time.monotonic()
    for _ in range(20):
        assert query.get("/healthz").status_code == 200
        for connection in dripping:
            try:
                connection.sendall(b"x")
            except OSError:
                pass
        time.sleep(0.02)
    status, fields, _ = read_answer(dripping[0])
    assert (status, fields["Connection"]) == (408, "close")
    assert time.monotonic() - began < 5 * PATIENCE
    for connection in dripping:
        connection.close()


def test_connections_over_the_limit_are_told_so_and_come_in_when_there_is_room(query):
    held = [connect(query) for _ in range(50)]
    for connection in held:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_answer(connection)[0] == 200
    assert read_answer(connect(query))[0] == 503
    assert query.healthz().status_code == 200  # administration has room of its own
    for connection in held:
        connection.close()
    wait_until(lambda: query.get("/healthz").status_code == 200, "room", alive=[query])


@pytest.mark.parametrize("request_bytes, status", [
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20000 + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413),
    (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n", 417),
])
def test_what_is_not_http_is_refused_and_the_connection_closed(query, request_bytes, status):
    connection = connect(query)
    connection.sendall(request_bytes)
    got, fields, body = read_answer(connection)
    assert (got, fields["Connection"], fields["Content-Type"]) == (status, "close", "application/problem+json")
    assert connection.recv(1) == b""
    connection.close()


def test_a_second_server_on_the_same_address_is_refused(query, store):
    taken = run_command(BUILD / "tarn-query", "--store", store, "--listen", f"127.0.0.1:{query.port}",
                        "--admin-listen", "127.0.0.1:0")
    assert taken.status == 2
    assert f"127.0.0.1:{query.port}" in taken.err
    taken = run_command(BUILD / "tarn-query", "--store", store, "--listen", "127.0.0.1:0",
                        "--admin-listen", f"127.0.0.1:{query.admin_port}")
    assert taken.status == 2
    assert "--admin-listen" in taken.err


@pytest.mark.parametrize("flags, said", [
    (["--tls-cert", "a.pem"], "--tls-cert: TLS is not supported by this version"),
    (["--tls-key", "a.pem"], "--tls-key: TLS is not supported by this version"),
    (["--auth-jwks", "keys.json"], "--auth-jwks: authorization is not supported by this version"),
    (["--peers", "a,b"], "--peers: forwarding to other shards is not supported by this version"),
    (["--exposure-topic", "e"], "--exposure-topic needs --brokers"),
    (["--listn", ":0"], "did you mean --listen?"),
    (["--threads", "-1"], "must be 0 to 1024"),
    (["--listen", "nonsense"], "an address to listen on is"),
    (["extra"], "unexpected argument"),
])
def test_settings_that_are_not_understood_are_refused_by_name(store, flags, said):
    refused = run_command(BUILD / "tarn-query", "--store", store, "--admin-listen", "127.0.0.1:0", *flags)
    assert refused.status == 2
    assert said in refused.err
    assert refused.out == ""


def test_help_is_an_answer(store):
    helped = run_command(BUILD / "tarn-query", "--help")
    assert helped.status == 0
    for flag in ("--store DIR", "--listen ADDR:PORT", "--admin-listen ADDR:PORT", "--unready-after SECONDS"):
        assert flag in helped.out


def test_the_environment_and_a_file_set_what_flags_do_not(programs, store, tmp_path):
    file = tmp_path / "tarn.conf"
    file.write_text("[tarn-query]\nlog-format = json\n[tarn-projector run]\nbrokers = nowhere:1\n")
    query = programs.query(store, wait_ready=False, flags=["--config", file], env={"TARN_IDLE_TIMEOUT": "300ms"})
    assert '"program":"tarn-query"' in query.log()
    connection = connect(query)
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert read_answer(connection)[0] == 200
    assert connection.recv(1) == b""
    connection.close()


def test_a_stop_closes_idle_connections_and_ends_at_once(query):
    idle = connect(query)
    idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert read_answer(idle)[0] == 200
    assert query.stop() < 2 * PATIENCE
    assert idle.recv(1) == b""
    idle.close()


def test_a_stop_lets_a_request_that_has_begun_end(query):
    begun = connect(query)
    begun.sendall(b"GET /healthz HTTP/1.1\r\n")
    wait_until(lambda: query.get("/healthz").status_code == 200, "the server to have read it", alive=[query])
    query.process.child.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    begun.sendall(b"Host: a\r\n\r\n")
    status, fields, body = read_answer(begun)
    assert (status, fields["Connection"], body) == (200, "close", b"ok\n")
    begun.close()
    assert query.process.wait(5) == 0
