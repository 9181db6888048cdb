"""The service that owns the write database: it knows nothing of Tarn but the outbox table.

A change of a person is a row in `results`, the person's own row, and a row in `outbox`, in one transaction. The person's
row is changed, and so locked, first, so that a person's events are in the outbox in the order of their commits."""

import contextlib
import threading
import time

import pymysql
from tarn.mariadb import PASSWORD, USER

TABLES = """
CREATE TABLE people (id VARCHAR(40) PRIMARY KEY, results INT NOT NULL DEFAULT 0) ENGINE = InnoDB;
CREATE TABLE results (id VARCHAR(40) PRIMARY KEY, person VARCHAR(40) NOT NULL, number INT NOT NULL, value INT NOT NULL,
                      INDEX (person)) ENGINE = InnoDB;
"""
EVENT = "story.ResultCame"


class Change:
    """One person's new result. `committed_us`: when the commit had returned (CLOCK_MONOTONIC); None when it hasn't."""

    __slots__ = ("person", "result_id", "value", "outcome", "committed_us")

    def __init__(self, person, result_id, value):
        self.person, self.result_id, self.value = person, result_id, value
        self.outcome, self.committed_us = "unknown", None


class WriteService:
    """Each writer has a connection of its own: use one from one thread."""

    def __init__(self, database, schema):
        self.database, self.schema = database, schema
        self.changes = []
        self._count = 0
        self._lock = threading.Lock()

    def make_tables(self, people):
        self.database.run(TABLES)
        for at in range(0, len(people), 1000):
            self.database.run("INSERT INTO people (id) VALUES " + ", ".join(f"('{person}')" for person in people[at:at + 1000]))

    def connect(self):
        return pymysql.connect(host="127.0.0.1", port=self.database.port, user=USER, password=PASSWORD, database="bank",
                               charset="utf8mb4", connect_timeout=5, read_timeout=60, write_timeout=60)

    def change(self, connection, people, chance, is_kept=True, before_end=lambda: None):
        """A new result for each of these people, in one transaction, rolled back in the end unless `is_kept`. What
        happened is in the changes that it returns: "unknown" when the connection was lost on the way."""
        changes = self._new_changes(sorted(people), chance)
        with connection.cursor() as cursor:
            connection.begin()
            cursor.executemany("UPDATE people SET results = results + 1 WHERE id = %s", [(c.person,) for c in changes])
            cursor.execute("SELECT id, results FROM people WHERE id IN %s", ([c.person for c in changes],))
            numbers = dict(cursor.fetchall())
            cursor.executemany("INSERT INTO results (id, person, number, value) VALUES (%s, %s, %s, %s)",
                               [(c.result_id, c.person, numbers[c.person], c.value) for c in changes])
            cursor.executemany("INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('person', %s, %s, %s)",
                               [(c.person, EVENT, self._event(c)) for c in changes])
        before_end()
        if is_kept:
            connection.commit()
        else:
            connection.rollback()
        now_us = time.monotonic_ns() // 1000
        for change in changes:
            change.outcome = "committed" if is_kept else "rolled back"
            change.committed_us = now_us if is_kept else None
        return changes

    def _new_changes(self, people, chance):
        with self._lock:
            changes = [Change(person, f"r{self._count + i:06}", chance.randrange(1, 1000)) for i, person in enumerate(people)]
            self._count += len(people)
            self.changes += changes
        return changes

    def _event(self, change):
        event = self.schema.new(EVENT)
        event.user_id, event.result_id, event.value = change.person, change.result_id, change.value
        return event.SerializeToString()

    def count(self, outcome):
        with self._lock:
            return sum(change.outcome == outcome for change in self.changes)


class Writer(threading.Thread):
    """Does `work(connection)` again and again until that returns False. A database that goes away is waited for: what
    became of the transaction that was under way only the database knows."""

    def __init__(self, service, work):
        super().__init__(daemon=True)
        self.service, self.work = service, work
        self.lost = 0
        self.fault = None
        self.start()

    def run(self):
        goes_on, connection = True, None
        while goes_on and self.fault is None:
            try:
                connection = connection or self.service.connect()
                goes_on = self.work(connection) is not False
            except (pymysql.err.OperationalError, pymysql.err.InterfaceError, OSError):
                self.lost += 1
                connection = _close(connection)
                time.sleep(0.05)
            except Exception as fault:
                self.fault = fault
        _close(connection)

    def finish(self, timeout_s=300):
        self.join(timeout_s)
        if self.fault is not None:
            raise self.fault
        assert not self.is_alive(), "a writer is still at work"


def _close(connection):
    if connection is not None:
        with contextlib.suppress(Exception):
            connection.close()
