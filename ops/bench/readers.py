"""Servers that answer reads: tarn-query and what people use today for the same answers, each with the same people, started
in a folder of its own on loopback and ended by its pid. One client asks all of them (bench_load.c)."""

import resource
import socket
import subprocess

import requests

from place import PROGRAMS, ROOT, cpu_seconds, run_json

from tarn.process import Process, free_port
from tarn.programs import Query
from tarn.waiting import wait_until

PEERS = ROOT / "ops" / "bench" / "peers"
CONNECTIONS = 64
JOIN_CONNECTIONS = 16  # where MariaDB was fastest; with 64 it answers a seventh less
USER, SHAPE = "u-%07d", "u-#######"


class Reader:
    """One server under load: `load(seconds)` gives {"per_second", "p99_ms"}, to which CPU per request is added."""

    protocol = "http"
    shape = None
    accept = ""

    def measure(self, seconds):
        before = cpu_seconds(self.pid)
        figures = self.load(seconds)
        figures["cpu_us"] = (cpu_seconds(self.pid) - before) * 1e6 / max(1, figures["requests"])
        return figures

    def load(self, seconds, rate=0):
        return run_json([PROGRAMS / "bench_load", self.protocol, self.port, CONNECTIONS, seconds, self.people, self.shape,
                         rate, self.accept])

    def end(self):
        self.process.end()


class Tarn(Reader):
    """tarn-query as it comes, on a store of its own or on one that is there."""

    def __init__(self, folder, people, store=None, shape=f"/v1/genetic-result/{SHAPE}"):
        self.people = people
        self.store = store or folder / "store"
        self.shape = shape
        if store is None:
            subprocess.run([PROGRAMS / "bench_fill", self.store, str(people)], check=True, cwd=ROOT)
        self.query = Query(folder, "tarn-query", self.store, flags=["--log-level", "warn"]).start()
        self.pid = self.query.process.pid
        self.port = self.query.port
        # The admin listener, which start() waits for, is there first.
        wait_until(lambda: self.query.get("/readyz").status_code == 200, "tarn-query", alive=[self.query.process])

    def bodies(self, count):
        """The first `count` answers, one connection."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection, connection.makefile("rb") as answers:
            for number in range(count):
                connection.sendall(f"GET /v1/genetic-result/{USER % number} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                assert answers.readline().startswith(b"HTTP/1.1 200")
                length = 0
                while (line := answers.readline()) != b"\r\n":
                    if line.startswith(b"Content-Length:"):
                        length = int(line.split(b":")[1])
                yield answers.read(length)

    def end(self):
        self.query.end()


class Nginx(Reader):
    """The bodies as files (peers/nginx.conf)."""

    shape = f"/{SHAPE}"

    def __init__(self, folder, people, bodies):
        # All of its files must stay open, or its cache of open files is none: in its favour, it serves fewer people.
        self.people = min(people, resource.getrlimit(resource.RLIMIT_NOFILE)[1] * 3 // 4)
        self.folder = folder / "nginx"
        (self.folder / "files").mkdir(parents=True)
        for number, body in zip(range(self.people), bodies):
            (self.folder / "files" / (USER % number)).write_bytes(body)
        self.port = free_port()
        conf = (PEERS / "nginx.conf").read_text().replace("@FOLDER@", str(self.folder)).replace("@PORT@", str(self.port))
        (self.folder / "nginx.conf").write_text("user root;\n" + conf)
        self.process = Process(["nginx", "-p", self.folder, "-c", self.folder / "nginx.conf"], self.folder / "log")
        self.pid = self.process.pid
        wait_until(lambda: requests.get(f"http://127.0.0.1:{self.port}/{USER % 0}", timeout=5).status_code == 200, "nginx",
                   alive=[self.process])


class Redis(Reader):
    """GET of values as long as our answers, one at a time per connection (peers/redis.conf)."""

    protocol = "redis"
    shape = SHAPE

    def __init__(self, folder, people, body):
        self.people = people
        self.port = free_port()
        (folder / "redis").mkdir()
        self.process = Process(["redis-server", PEERS / "redis.conf", "--port", self.port, "--dir", folder / "redis"],
                               folder / "redis" / "log")
        self.pid = self.process.pid
        wait_until(lambda: self._ask(["ping"]) == "PONG", "redis", alive=[self.process])
        value = b"$%d\r\n%s\r\n" % (len(body), body)
        commands = b"".join(b"*3\r\n$3\r\nSET\r\n$9\r\n%s\r\n%s" % ((USER % n).encode(), value) for n in range(people))
        done = subprocess.run(["redis-cli", "-p", str(self.port), "--pipe"], input=commands, capture_output=True, check=True)
        assert b"errors: 0" in done.stdout, done.stdout

    def _ask(self, command):
        return subprocess.run(["redis-cli", "-p", str(self.port), *command], capture_output=True, text=True).stdout.strip()


TABLES = """
CREATE DATABASE bench; USE bench;
CREATE TABLE report (report_id INT PRIMARY KEY, user_id VARCHAR(16) NOT NULL, user_name VARCHAR(40), UNIQUE KEY (user_id));
CREATE TABLE category (category_id INT PRIMARY KEY, report_id INT NOT NULL, category VARCHAR(20), KEY (report_id));
CREATE TABLE marker (marker_id INT PRIMARY KEY, category_id INT NOT NULL, code VARCHAR(20), trait VARCHAR(40),
                     risk VARCHAR(10), score DOUBLE, advice VARCHAR(100), KEY (category_id));
INSERT INTO report SELECT seq, CONCAT('u-', LPAD(seq, 7, '0')), 'Kim Ji-woo' FROM seq_0_to_{last};
INSERT INTO category SELECT seq, seq DIV 3, ELT(1 + seq MOD 3, 'nutrition', 'skin', 'sleep') FROM seq_0_to_{last_category};
INSERT INTO marker SELECT seq, seq DIV 5, CONCAT('rs', 100000 + seq MOD 997), 'Caffeine metabolism', 'CAUTION',
       seq MOD 1000 / 10, 'Ask your doctor before you change it.' FROM seq_0_to_{last_marker};
ANALYZE TABLE report, category, marker;
"""


class MariaDB(Reader):
    """Three tables, everything in the buffer pool (peers/mariadb.cnf): the best case for it."""

    def __init__(self, folder, people):
        self.people = people
        self.folder = folder / "mariadb"
        # A temporary folder of its own: a server that starts removes what others have in one that they share.
        (self.folder / "tmp").mkdir(parents=True)
        options = [f"--defaults-file={PEERS / 'mariadb.cnf'}", f"--datadir={self.folder / 'data'}",
                   f"--tmpdir={self.folder / 'tmp'}", "--user=root"]
        subprocess.run(["mariadb-install-db", *options, "--auth-root-authentication-method=normal"], capture_output=True,
                       check=True)
        self.socket = self.folder / "socket"
        self.process = Process(["mariadbd", *options, f"--socket={self.socket}"], self.folder / "log")
        self.pid = self.process.pid
        wait_until(lambda: self._sql("SELECT 1").returncode == 0, "mariadb", 120, alive=[self.process])
        done = self._sql(TABLES.format(last=people - 1, last_category=people * 3 - 1, last_marker=people * 15 - 1))
        assert done.returncode == 0, done.stderr

    def _sql(self, text):
        return subprocess.run(["mariadb", "--no-defaults", "-u", "root", f"--socket={self.socket}"], input=text,
                              capture_output=True, text=True)

    def load(self, seconds):
        figures = run_json([PROGRAMS / "bench_join", self.socket, "bench", JOIN_CONNECTIONS, seconds, self.people])
        return {**figures, "requests": figures["queries"]}
