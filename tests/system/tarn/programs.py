"""tarn-projector and tarn-query as a test holds them."""

import collections
import json
import subprocess
import time

import requests

from . import BUILD, EXAMPLES, PATIENCE
from .metrics import Metrics
from .process import SANITIZER, Process, environment, free_port
from .waiting import wait_until

Outcome = collections.namedtuple("Outcome", "status out err")
_ADDRESS_TAKEN = ("Address already in use", "in use")


def run_command(*arguments, timeout_s=30, env=None, input=None):
    """One command of tarn-projector (or of the program named by a path), to its end."""
    argv = [str(part) for part in arguments]
    if not argv[0].startswith("/"):
        argv.insert(0, str(BUILD / "tarn-projector"))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s * PATIENCE, env=environment(env),
                          stdin=subprocess.DEVNULL if input is None else None, input=input)
    assert not SANITIZER.search(done.stderr), done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


class Program:
    """A server of ours: started on ports of its own, again on others when somebody took one in between."""

    program = None

    def __init__(self, folder, name):
        self.folder = folder
        self.name = name
        self.process = None
        self.starts = 0
        self.logs = []

    def start(self, wait_ready=True):
        for attempt in range(3):
            self.choose_ports()
            self.starts += 1
            log = self.folder / f"{self.name}-{self.starts}.log"
            self.logs.append(log)
            self.process = Process(self.argv(), log, env=self.env, name=self.name)
            try:
                wait_until(lambda: self.healthz().status_code == 200, f"/healthz of {self.name}", alive=[self.process])
                break
            except AssertionError:
                taken = not self.process.is_alive() and any(sign in self.process.log() for sign in _ADDRESS_TAKEN)
                if not taken or attempt == 2:
                    raise
        if wait_ready:
            self.wait_ready()
        return self

    def wait_ready(self, timeout_s=60):
        wait_until(lambda: self.readyz().status_code == 200, f"/readyz of {self.name}", timeout_s, alive=[self.process])
        return self

    def healthz(self):
        return requests.get(f"{self.admin_url}/healthz", timeout=5 * PATIENCE)

    def readyz(self):
        return requests.get(f"{self.admin_url}/readyz", timeout=5 * PATIENCE)

    def metrics(self):
        answer = requests.get(f"{self.admin_url}/metrics", timeout=5 * PATIENCE)
        assert answer.status_code == 200, answer.text
        return Metrics(answer.text)

    def assert_alive(self):
        self.process.assert_alive()

    def stop(self, timeout_s=10):
        return self.process.stop(timeout_s)

    def kill(self):
        self.process.kill()

    def end(self):
        if self.process:
            self.process.end()

    def log(self):
        return "".join(path.read_text(errors="replace") for path in self.logs)

    def assert_sane(self):
        found = SANITIZER.search(self.log())
        assert not found, f"{self.name}:\n{self.log()[found.start():][:6000]}"


class Projector(Program):
    """`tarn-projector run`. `topics`: {stream: topic}, or one topic's name for all streams."""

    def __init__(self, folder, name, store, kafka, topics, schema=EXAMPLES, flags=(), env=None):
        super().__init__(folder, name)
        self.store = store
        self.kafka = kafka
        self.topics = topics
        self.schema = schema
        self.flags = list(flags)
        self.env = env

    def choose_ports(self):
        self.admin_port = free_port()
        self.admin_url = f"http://127.0.0.1:{self.admin_port}"

    def argv(self):
        topics = self.topics if isinstance(self.topics, str) else ",".join(f"{s}={t}" for s, t in self.topics.items())
        return [BUILD / "tarn-projector", "run", "--schema", self.schema, "--store", self.store, "--brokers",
                self.kafka.brokers, "--topics", topics, "--listen", f"127.0.0.1:{self.admin_port}", *self.flags]

    def topic_names(self):
        return [self.topics] if isinstance(self.topics, str) else sorted(set(self.topics.values()))

    def cli(self, *arguments, expect=0, timeout_s=30):
        """A command on this projector's store, beside it or while it is down; its stdout (parsed with --json)."""
        done = run_command(*arguments, "--store", self.store, timeout_s=timeout_s)
        assert done.status == expect, f"{arguments}: status {done.status}\n{done.out}{done.err}"
        return json.loads(done.out) if "--json" in arguments else done.out

    def status(self):
        generations = self.cli("status", "--json")["generations"]
        assert len(generations) == 1, generations
        return generations[0]

    def wait_caught_up(self, timeout_s=60):
        """Until every partition is handled up to the end that the log has now."""
        ends = self.kafka.ends(self.topic_names())

        def is_caught_up():
            seen = {(p["topic"], p["partition"]): p for p in self.status()["partitions"]}
            behind = {name: seen.get(name) for name, end in ends.items()
                      if name not in seen or seen[name]["end"] < end or seen[name]["lag"] != 0}
            assert not behind, f"behind: {behind}"
            return True

        wait_until(is_caught_up, f"{self.name} to catch up with {ends}", timeout_s, alive=[self.process], poll_s=0.1)
        return self

    def digests(self):
        """{view: "line"}: equal contents give equal lines. Asked of a store whose projector may run or not."""
        return self.cli("digest")


class Query(Program):
    """`tarn-query`."""

    def __init__(self, folder, name, store, flags=(), env=None):
        super().__init__(folder, name)
        self.store = store
        self.flags = list(flags)
        self.env = env
        self.session = requests.Session()

    def choose_ports(self):
        self.port, self.admin_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin_url = f"http://127.0.0.1:{self.admin_port}"

    def argv(self):
        return [BUILD / "tarn-query", "--store", self.store, "--listen", f"127.0.0.1:{self.port}", "--admin-listen",
                f"127.0.0.1:{self.admin_port}", *self.flags]

    def get(self, path, headers=None, method="GET"):
        return self.session.request(method, self.url + path, headers=headers, timeout=10 * PATIENCE)

    def json(self, path):
        answer = self.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def age_s(self, path):
        """`Tarn-Age` of a view's answer, in seconds."""
        answer = self.get(path)
        assert "Tarn-Age" in answer.headers, f"{path}: {answer.status_code} {dict(answer.headers)}"
        return float(answer.headers["Tarn-Age"])


def now_ms():
    return time.time_ns() // 1_000_000
