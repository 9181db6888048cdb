"""Kills what the screens depend on, and starts it again: each victim by itself, so that all may be down at once."""

import collections
import concurrent.futures
import random
import threading
import time

Outage = collections.namedtuple("Outage", "victim down_us up_us")


class Chaos:
    """`victims`: {name: (kill, start, up_s)}; start returns once it answers. Each is killed `kills` times, after having
    been up for at most up_s. `pool`: of threads that outlive what they start."""

    def __init__(self, pool, victims, seed, kills, down_s=1.0):
        self.kills, self.down_s = kills, down_s
        self.outages = []
        self._stop_event = threading.Event()
        self._tasks = {name: pool.submit(self._run, random.Random(f"{seed}-{name}"), name, *victim)
                       for name, victim in victims.items()}

    def _run(self, chance, name, kill, start, up_s):
        try:
            for _ in range(self.kills):
                if self._stop_event.wait(chance.uniform(0, up_s)):
                    return
                down_us = time.monotonic_ns() // 1000
                kill()
                time.sleep(chance.uniform(0, self.down_s))
                start()
                self.outages.append(Outage(name, down_us, time.monotonic_ns() // 1000))
        except BaseException:
            self.stop()
            raise

    def stop(self):
        """Whoever is down is started, nobody else killed."""
        self._stop_event.set()

    def finish(self, timeout_s):
        """Raises what a victim's start raised."""
        done, late = concurrent.futures.wait(self._tasks.values(), timeout_s)
        self.end()
        for task in done:
            task.result()
        assert not late, f"still killing after {timeout_s} s: {self.counts()}"

    def end(self):
        """For whoever gives up: waits until nobody is started any more."""
        self.stop()
        concurrent.futures.wait(self._tasks.values())

    def counts(self):
        return dict(collections.Counter(outage.victim for outage in self.outages))
