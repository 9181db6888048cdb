"""People who open their screen: each at a planned moment, whether or not the server keeps up (ops/dev/crowd.c)."""

import collections
import subprocess
import threading
import time

from tarn import BUILD
from tarn.process import _die_with_parent, environment

CONNECTIONS = 512

Seen = collections.namedtuple("Seen", "person verdict status due_us latency_us")


class Crowd:
    def __init__(self, query, folder):
        self.people = []
        self._lock = threading.Lock()
        self._out = open(folder / f"crowd-{time.monotonic_ns()}.txt", "w+b")
        self._child = subprocess.Popen([BUILD / "dev" / "crowd", str(query.port), str(CONNECTIONS)], stdin=subprocess.PIPE,
                                       stdout=self._out, env=environment(), preexec_fn=_die_with_parent)

    def plan(self, person, due_us, result_id, place="-", offset=-1):
        """`person` opens the screen at due_us, to find `result_id` and what `place` (topic/partition) has up to `offset`."""
        with self._lock:
            number = len(self.people)
            self.people.append(person)
            self._child.stdin.write(b"%d %d /v1/results/%s %s %d \"%s\"\n" % (
                number, due_us, person.encode(), place.encode(), offset, result_id.encode()))

    def flush(self):
        with self._lock:
            self._child.stdin.flush()

    def finish(self, timeout_s=120):
        """Waits for the last answer; what everybody saw, in the order of the answers."""
        with self._lock:
            self._child.stdin.close()
        status = self._child.wait(timeout_s)
        assert status == 0, f"the crowd ended with status {status}"
        self._out.seek(0)
        seen = []
        for line in self._out.read().decode().splitlines():
            number, verdict, status, due_us, latency_us = line.split()
            seen.append(Seen(self.people[int(number)], verdict, int(status), int(due_us), int(latency_us)))
        self._out.close()
        assert len(seen) == len(self.people), f"{len(self.people)} came, {len(seen)} saw something"
        return seen

    def end(self):
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()


def percentile(values, share):
    """Of sorted values; the next one up."""
    return values[min(len(values) - 1, int(len(values) * share))]


def busiest_second(moments_us):
    """The most of these moments that one second has."""
    moments_us, most, first = sorted(moments_us), 0, 0
    for last, moment in enumerate(moments_us):
        while moment - moments_us[first] >= 1_000_000:
            first += 1
        most = max(most, last - first + 1)
    return most
