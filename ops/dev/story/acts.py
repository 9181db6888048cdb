"""The acts of the story. Each returns a Report of what was written, announced and seen; nothing is judged here."""

import dataclasses
import queue
import random
import threading
import time

from tarn.waiting import wait_until

from . import ledger
from .chaos import Chaos
from .crowd import Crowd
from .notifier import Notifier
from .write_service import WriteService, Writer

WRITERS = 4
HELD_S = 0.3
WITHIN_US = 1_000_000  # so soon after the announcement everybody opens the screen


@dataclasses.dataclass
class Report:
    """Times are microseconds of CLOCK_MONOTONIC."""

    began_us: int
    ended_us: int = 0
    changes: list = dataclasses.field(default_factory=list)   # write_service.Change
    heard: list = dataclasses.field(default_factory=list)     # notifier.Heard
    seen: list = dataclasses.field(default_factory=list)      # crowd.Seen
    outages: list = dataclasses.field(default_factory=list)   # chaos.Outage
    held: int = 0                                             # transactions kept open past a round of the relay
    lost: int = 0                                             # connections that writers lost
    repeated_records: int = 0                                 # that the relay published again, after a kill

    def count(self, outcome):
        return sum(change.outcome == outcome for change in self.changes)

    def failures(self):
        return [seen for seen in self.seen if seen.verdict != "new"]

    def latencies_ms(self):
        return sorted(seen.latency_us / 1000 for seen in self.seen)

    def announcement_delays_ms(self):
        """From the return of a commit to the announcement's arrival at the notifier."""
        committed = {change.result_id: change.committed_us for change in self.changes if change.committed_us}
        return sorted((heard.heard_us - committed[heard.result_id]) / 1000
                      for heard in self.heard if heard.repeat == 0 and heard.result_id in committed)


class Story:
    """A stage, its people, a write service and a notifier that listens from the beginning to the end."""

    def __init__(self, stage, people_count, seed):
        self.stage, self.seed = stage, seed
        self.people = [f"p{number:05}" for number in range(people_count)]
        self.service = WriteService(stage.database, stage.schema)
        self.service.make_tables(self.people)
        self.notifier = Notifier(stage)

    def end(self):
        self.notifier.finish()

    def spike(self, people, waits=True, batch=100):
        """A new result for each of `people`, all at once, and everybody comes: within a second of the announcement, or,
        unless somebody `waits` for that, the moment the commit has returned."""
        chance = random.Random(f"{self.seed}-{len(self.service.changes)}")
        report = Report(_now_us())
        crowd = Crowd(self.stage.query, self.stage.folder)
        first_change = len(self.service.changes)
        try:
            self._listen(crowd if waits else None, report, only_first=True)
            self._write_batches(people, batch, chance, report, None if waits else crowd)
            report.changes = self.service.changes[first_change:]
            self._wait_announced({change.result_id for change in report.changes if change.outcome == "committed"}, report)
            report.seen = crowd.finish()
        finally:
            self._listen(None, None)
            crowd.end()
        report.ended_us = _now_us()
        return report

    def chaos(self, kills, committed, rolled_back, timeout_s, pause_s=0.02):
        """Changes of anybody, some rolled back, some held open, while relay, projector, broker and database are killed and
        started, `kills` times each; on until so many changes are `committed` and `rolled_back`. Whoever is
        announced opens the screen within a second, repeats included."""
        report = Report(_now_us())
        crowd = Crowd(self.stage.query, self.stage.folder)
        first_change, repeated_before = len(self.service.changes), self.notifier.repeated_records
        stop, todo = threading.Event(), queue.SimpleQueue()
        for person in random.Random(self.seed).sample(self.people, len(self.people)):
            todo.put(person)  # everybody once before anybody twice
        counted = [0, 0]

        def is_enough():
            return counted[0] >= committed and counted[1] >= rolled_back

        def work_of(number):
            chance = random.Random(f"{self.seed}-writer-{number}")

            def work(connection):
                some = {_next(todo) or chance.choice(self.people) for _ in range(chance.choice((1, 1, 1, 2, 5)))}
                is_kept = chance.random() > 0.15
                hold_s = chance.uniform(0.05, 0.5) if chance.random() < 0.03 else 0
                report.held += hold_s > 0
                self.service.change(connection, some, chance, is_kept, lambda: time.sleep(hold_s))
                counted[0 if is_kept else 1] += len(some)
                time.sleep(chance.uniform(0, 2 * pause_s))
                return not stop.is_set()

            return work

        try:
            self._listen(crowd, report)
            writers = [Writer(self.service, work_of(number)) for number in range(WRITERS)]
            chaos = Chaos(self.stage.pool, self.stage.victims(), self.seed, kills)
            try:
                chaos.finish(timeout_s)
                wait_until(is_enough, "so many changes", timeout_s)
            finally:
                stop.set()
                chaos.end()
            for writer in writers:
                writer.finish()
                report.lost += writer.lost
            report.outages = chaos.outages
            self.stage.wait_drained()
            self._settle(first_change, report)
            self._wait_announced({c.result_id for c in report.changes if c.outcome == "committed"}, report)
            report.seen = crowd.finish()
            report.repeated_records = self.notifier.repeated_records - repeated_before
        finally:
            self._listen(None, None)
            crowd.end()
        report.ended_us = _now_us()
        return report

    def differences(self):
        """What the screens show otherwise than the database has committed: lines of text."""
        return ledger.differences(ledger.truth_of(self.stage.database), ledger.screens_of(self.stage.query, self.people))

    # --- parts ---

    def _listen(self, crowd, report, only_first=False):
        """What is announced from now on goes into the report, and sends its reader into the crowd."""
        chance = random.Random(f"{self.seed}-crowd")

        def ready(heard):
            report.heard.append(heard)
            if crowd and not (only_first and heard.repeat > 0):
                crowd.plan(heard.person, heard.heard_us + chance.randrange(WITHIN_US), heard.result_id, heard.place, heard.offset)

        self.notifier.ready = ready if report else lambda heard: None
        self.notifier.rest = crowd.flush if crowd else lambda: None

    def _write_batches(self, people, batch, chance, report, crowd):
        """One transaction for each batch, by a writer of its own; all of them commit at once, but a few that stay open past
        a round of the relay. One in ten was beside one that is rolled back."""
        people = chance.sample(people, len(people))
        batches = [people[at:at + batch] for at in range(0, len(people), batch)]
        gate = threading.Barrier(len(batches))

        def work_of(number, some):
            chance = random.Random(f"{self.seed}-batch-{number}")
            is_shadowed, is_held = number == 0 or chance.random() < 0.1, number == 1 or chance.random() < 0.05
            report.held += is_held

            def before_commit():
                gate.wait(120)
                if is_held:
                    time.sleep(HELD_S)

            def work(connection):
                if is_shadowed:
                    self.service.change(connection, some, chance, is_kept=False)
                changes = self.service.change(connection, some, chance, before_end=before_commit)
                if crowd:
                    for change in changes:
                        crowd.plan(change.person, change.committed_us, change.result_id)
                    crowd.flush()
                return False

            return work

        for writer in [Writer(self.service, work_of(number, some)) for number, some in enumerate(batches)]:
            writer.finish()
            report.lost += writer.lost

    def _settle(self, first_change, report):
        """What became of changes whose connection was lost: the database knows."""
        there = {result_id for (result_id,) in self.stage.database.run("SELECT id FROM results")}
        report.changes = self.service.changes[first_change:]
        for change in report.changes:
            if change.outcome == "unknown":
                change.outcome = "committed" if change.result_id in there else "lost"
            assert (change.outcome == "committed") == (change.result_id in there), (change.result_id, change.outcome)

    def _wait_announced(self, result_ids, report):
        def are_all():
            self.notifier.assert_well()
            missing = result_ids - {heard.result_id for heard in list(report.heard)}
            assert not missing, f"{len(missing)} of {len(result_ids)} changes aren't announced: {sorted(missing)[:5]}"
            return True

        wait_until(are_all, "the announcements", 60, alive=[self.stage.projector.process, self.stage.relay.process], poll_s=0.1)


def _next(todo):
    try:
        return todo.get_nowait()
    except queue.Empty:
        return None


def _now_us():
    return time.monotonic_ns() // 1000
