"""The reading side of the benchmark: tarn-query and the servers that people use today for the same answers, each with
the same people, started in a folder of its own on loopback and ended by its pid."""

import json
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "system"))

import requests  # noqa: E402

from tarn import BUILD  # noqa: E402
from tarn.process import Process, environment, free_port  # noqa: E402
from tarn.programs import Query  # noqa: E402
from tarn.waiting import wait_until  # noqa: E402

PEERS = pathlib.Path(__file__).parent / "peers"
CONNECTIONS = 64
USER = "u-%07d"


def cpu_seconds(pid):
    """Of a process and its children."""
    total = 0
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if stat.parent.name == str(pid) or fields[1] == str(pid):
            total += int(fields[11]) + int(fields[12])
    return total / 100


class Reader:
    """One server under load: `load(seconds)` gives {"per_second", "p99_ms"}, to which CPU per request is added."""

    def measure(self, seconds):
        before = cpu_seconds(self.pid)
        began = time.monotonic()
        figures = self.load(seconds)
        took = time.monotonic() - began
        figures["cpu_us"] = (cpu_seconds(self.pid) - before) * 1e6 / max(1, figures["per_second"] * took)
        return figures


def wrk(port, shape, people, seconds, accept=""):
    done = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s",
                           str(PEERS / "random_user.lua"), f"http://127.0.0.1:{port}", "--", str(people), shape, accept],
                          capture_output=True, text=True, check=True)
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", done.stdout)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    assert not bad, f"{shape}: {bad[0]}"
    return {"per_second": rate, "p99_ms": float(p99[1]) * {"us": 0.001, "ms": 1, "s": 1000}[p99[2]]}


class Tarn(Reader):
    def __init__(self, folder, people):
        self.people = people
        self.store = folder / "store"
        if not self.store.exists():
            subprocess.run([BUILD / "bench" / "bench_fill", self.store, str(people)], check=True, cwd=ROOT)
        self.query = Query(folder, "tarn-query", self.store).start()
        self.pid = self.query.process.pid
        self.accept = ""

    def sample(self, number):
        return self.query.get(f"/v1/genetic-result/{USER % number}").content

    def load(self, seconds):
        return wrk(self.query.port, "/v1/genetic-result/USER", self.people, seconds, self.accept)

    def end(self):
        self.query.end()


class Nginx(Reader):
    def __init__(self, folder, people, bodies):
        # All of its files must stay open, or its cache of open files is none: in its favour, it serves fewer people.
        self.people = min(people, resource.getrlimit(resource.RLIMIT_NOFILE)[1] * 3 // 4)
        self.folder = folder / "nginx"
        (self.folder / "files").mkdir(parents=True)
        for number, body in bodies[:self.people]:
            (self.folder / "files" / (USER % number)).write_bytes(body)
        self.port = free_port()
        conf = (PEERS / "nginx.conf").read_text().replace("@FOLDER@", str(self.folder)).replace("@PORT@", str(self.port))
        (self.folder / "nginx.conf").write_text("user root;\n" + conf)
        self.process = Process(["nginx", "-p", self.folder, "-c", self.folder / "nginx.conf"], self.folder / "log")
        self.pid = self.process.pid
        wait_until(lambda: requests.get(f"http://127.0.0.1:{self.port}/{USER % 0}", timeout=5).status_code == 200, "nginx",
                   alive=[self.process])

    def load(self, seconds):
        return wrk(self.port, "/USER", self.people, seconds)

    def end(self):
        self.process.end()


class Redis(Reader):
    """GET, one at a time per connection, values as long as ours; save off, as a cache."""

    def __init__(self, folder, people, body):
        self.people = people
        self.port = free_port()
        (folder / "redis").mkdir()
        self.process = Process(["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--appendonly",
                                "no", "--dir", folder / "redis"], folder / "redis" / "log")
        self.pid = self.process.pid
        wait_until(lambda: self._ask(["ping"]) == "PONG", "redis", alive=[self.process])
        commands = "".join(f"*3\r\n$3\r\nSET\r\n$16\r\nkey:{n:012d}\r\n${len(body)}\r\n{body.decode('latin-1')}\r\n"
                           for n in range(people))
        done = subprocess.run(["redis-cli", "-p", str(self.port), "--pipe"], input=commands.encode("latin-1"),
                              capture_output=True, check=True)
        assert b"errors: 0" in done.stdout, done.stdout

    def _ask(self, command):
        return subprocess.run(["redis-cli", "-p", str(self.port), *command], capture_output=True, text=True).stdout.strip()

    def load(self, seconds):
        count = int(getattr(self, "rate", 60000) * seconds)
        done = subprocess.run(["redis-benchmark", "-p", str(self.port), "-c", str(CONNECTIONS), "-n", str(count), "-r",
                               str(self.people), "--csv", "GET", "key:__rand_int__"], capture_output=True, text=True,
                              check=True)
        fields = done.stdout.strip().splitlines()[-1].replace('"', "").split(",")
        header = done.stdout.strip().splitlines()[0].replace('"', "").split(",")
        figures = dict(zip(header, fields))
        self.rate = float(figures["rps"])
        return {"per_second": self.rate, "p99_ms": float(figures["p99_latency_ms"])}

    def end(self):
        self.process.end()


TABLES = """
CREATE DATABASE bench; USE bench;
CREATE TABLE report (report_id INT PRIMARY KEY, user_id VARCHAR(16) NOT NULL, user_name VARCHAR(40), UNIQUE KEY (user_id));
CREATE TABLE category (category_id INT PRIMARY KEY, report_id INT NOT NULL, category VARCHAR(20), KEY (report_id));
CREATE TABLE marker (marker_id INT PRIMARY KEY, category_id INT NOT NULL, code VARCHAR(20), trait VARCHAR(40),
                     risk VARCHAR(10), score DOUBLE, advice VARCHAR(100), KEY (category_id));
INSERT INTO report SELECT seq, CONCAT('u-', LPAD(seq, 7, '0')), 'Kim Ji-woo' FROM seq_0_to_{last};
INSERT INTO category SELECT seq, seq DIV 3, ELT(1 + seq MOD 3, 'nutrition', 'skin', 'sleep') FROM seq_0_to_{last_category};
INSERT INTO marker SELECT seq, seq DIV 6, CONCAT('rs', 100000 + seq MOD 997), 'Caffeine metabolism', 'CAUTION',
       seq MOD 1000 / 10, 'Ask your doctor before you change it.' FROM seq_0_to_{last_marker};
ANALYZE TABLE report, category, marker;
"""


class MariaDB(Reader):
    """Everything in the buffer pool: the best case for it."""

    def __init__(self, folder, people):
        self.people = people
        self.folder = folder / "mariadb"
        data = self.folder / "data"
        self.folder.mkdir()
        subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root",
                        "--auth-root-authentication-method=normal"], capture_output=True, check=True)
        self.socket = self.folder / "socket"
        self.process = Process(["mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={self.socket}", "--user=root",
                                "--skip-networking", "--innodb-buffer-pool-size=2G", "--innodb-flush-log-at-trx-commit=2",
                                "--max-connections=200", "--query-cache-type=0"], self.folder / "log")
        self.pid = self.process.pid
        wait_until(lambda: self._sql("SELECT 1").returncode == 0, "mariadb", alive=[self.process])
        done = self._sql(TABLES.format(last=people - 1, last_category=people * 3 - 1, last_marker=people * 18 - 1))
        assert done.returncode == 0, done.stderr

    def _sql(self, text):
        return subprocess.run(["mariadb", "--no-defaults", "-u", "root", f"--socket={self.socket}"], input=text,
                              capture_output=True, text=True)

    def load(self, seconds):
        done = subprocess.run([BUILD / "bench" / "bench_join", self.socket, "bench", "16", str(seconds), str(self.people)],
                              capture_output=True, text=True, check=True, env=environment())
        return json.loads(done.stdout)

    def end(self):
        self.process.end()


def measure(folder, people, runs, seconds, say, with_mariadb=True):
    """{name: {"per_second": [..], "cpu_us": [..], "p99_ms": [..]}}, the servers taking turns."""
    folder.mkdir(parents=True, exist_ok=True)
    readers = {}
    try:
        tarn = readers["tarn json"] = Tarn(folder, people)
        bodies = [(number, tarn.sample(number)) for number in range(people)]
        say(f"  {people} people, JSON of {statistics.mean(len(body) for _, body in bodies):.0f} bytes")
        readers["nginx"] = Nginx(folder, people, bodies)
        readers["redis json"] = Redis(folder, people, bodies[0][1])
        if with_mariadb:
            readers["mariadb"] = MariaDB(folder, people)
        figures = {}
        for run in range(runs):
            for name, reader in [*readers.items(), ("tarn protobuf", tarn)]:
                if reader is tarn:
                    tarn.accept = "application/x-protobuf" if name == "tarn protobuf" else ""
                got = reader.measure(seconds)
                say(f"  run {run}: {name}: {got['per_second']:,.0f}/s {got['cpu_us']:.1f} us p99 {got['p99_ms']:.2f} ms")
                for key in ("per_second", "cpu_us", "p99_ms"):
                    figures.setdefault(name, {}).setdefault(key, []).append(got[key])
        return figures
    finally:
        for reader in readers.values():
            reader.end()
        shutil.rmtree(folder, ignore_errors=True)
