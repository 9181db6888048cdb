"""The outbox relay: what commits is published, once it is acknowledged it is deleted, and nothing else happens."""

import random
import re
import threading

import pytest
from tarn.relay import relay_command
from tarn.waiting import wait_until


def make_outbox(database):
    done = relay_command(database, "--init")
    assert done.status == 0, done.err


def insert(database, *rows):
    """(aggregate id, owner or None, type, payload as bytes)"""
    values = ", ".join("('t', '{}', {}, '{}', X'{}')".format(a, "NULL" if o is None else f"'{o}'", t, p.hex())
                       for a, o, t, p in rows)
    database.run(f"INSERT INTO outbox (aggregatetype, aggregateid, ownerid, type, payload) VALUES {values}")


def wait_empty(database, relay, timeout_s=30):
    wait_until(lambda: database.value("SELECT COUNT(*) FROM outbox") == "0", "an empty outbox", timeout_s,
               alive=[relay.process])


def test_init_makes_a_table_that_debezium_would_take_and_leaves_one_that_is_there(database):
    make_outbox(database)
    columns = {name: kind for name, kind in database.run(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'bank' AND table_name = 'outbox'")}
    assert columns == {"id": "bigint", "aggregatetype": "varchar", "aggregateid": "varchar", "ownerid": "varchar",
                       "type": "varchar", "payload": "longblob", "created_at": "timestamp"}
    insert(database, ("a", None, "x.v1.Y", b"1"))
    make_outbox(database)
    assert database.value("SELECT COUNT(*) FROM outbox") == "1"


def test_a_row_becomes_a_record_with_key_type_id_and_time(database, kafka, new_topic, programs, log_of):
    topic = new_topic("all")
    make_outbox(database)
    database.run("""INSERT INTO outbox (id, aggregatetype, aggregateid, ownerid, type, payload, created_at) VALUES
        (7, 'account', 'a1', 'u1', 'card.v1.PaymentApproved', X'0a0b00ff', '2026-11-22 09:30:00.123'),
        (9, 'account', 'a2', NULL, 'card.v1.PaymentApproved', '', '2026-11-22 09:30:01'),
        (12, 'account', '한글😀', NULL, 'card.v1.Gone', NULL, '2026-11-22 09:30:02')""")
    relay = programs.relay(database, kafka, topic)
    first, second, third = log_of(topic).read_count(3)
    assert (first.key, first.value) == (b"u1", b"\x0a\x0b\x00\xff")
    assert first.headers == {"type": "card.v1.PaymentApproved", "id": "7"}
    assert first.time_ms == 1795339800123
    assert (second.key, second.value) == (b"a2", b"")  # an empty event isn't a null value
    assert (third.key, third.value, third.headers["id"]) == ("한글😀".encode(), None, "12")
    wait_empty(database, relay)


def test_keys_go_where_java_clients_put_them(database, kafka, new_topic, programs, log_of, publisher):
    relayed, published = new_topic("relayed", 5), new_topic("published", 5)
    make_outbox(database)
    insert(database, *((f"user-{i}", None, "x.v1.Y", b"") for i in range(50)))
    for i in range(50):
        publisher.publish(published, "x.v1.Y", None, key=f"user-{i}", raw=b"")  # partitioner murmur2
    publisher.flush()
    programs.relay(database, kafka, relayed)
    where = [{r.key: r.partition for r in log_of(topic).read_count(50)} for topic in (relayed, published)]
    assert where[0] == where[1] and len(set(where[0].values())) == 5


def test_streams_go_to_their_topics(database, kafka, new_topic, programs, log_of):
    cards, people = new_topic("cards"), new_topic("people")
    make_outbox(database)
    insert(database, ("a", None, "card.v1.X", b"1"), ("b", None, "identity.v2.Y", b"2"), ("c", None, "card.v2.X", b"3"))
    programs.relay(database, kafka, {"card": cards, "identity": people})
    assert [r.value for r in log_of(cards).read_count(2)] == [b"1", b"3"]
    assert [r.value for r in log_of(people).read_count(1)] == [b"2"]


def test_what_is_rolled_back_is_never_published_and_what_commits_late_is(database, kafka, new_topic, programs, log_of):
    """A transaction that takes the lowest id and commits last: the row that a cursor would have passed."""
    topic = new_topic("all")
    make_outbox(database)
    relay = programs.relay(database, kafka, topic)
    held, gone = database.session(), database.session()
    held.do("START TRANSACTION; INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('t','held','x.v1.Y','h')")
    gone.do("START TRANSACTION; INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('t','gone','x.v1.Y','g')")
    insert(database, *((f"k{i}", None, "x.v1.Y", b"after") for i in range(20)))
    log = log_of(topic)
    log.read_count(20)
    wait_until(lambda: relay.metric("rounds_total") >= 1, "a round")
    gone.do("ROLLBACK")
    held.do("COMMIT")
    records = log.read_count(21)
    assert sorted(r.key for r in records if r.value != b"after") == [b"held"]
    assert int(records[-1].headers["id"]) < int(records[0].headers["id"])
    wait_empty(database, relay)
    held.close()
    gone.close()


RACE_DDL = """CREATE TABLE accounts (id VARCHAR(20) PRIMARY KEY, version INT NOT NULL) ENGINE = InnoDB;
INSERT INTO accounts VALUES {};"""


def race(database, writers, changes, accounts, seed, locks=True):
    """Each writer changes accounts, telling each new version in the outbox; a fifth is rolled back, some dawdle.
    Returns how many changes were committed."""
    committed = [0] * writers

    def write(number):
        chance = random.Random(f"{seed}-{number}")
        session = database.session()
        for _ in range(changes):
            account = f"a{chance.randrange(accounts)}"
            is_kept = chance.random() > 0.2
            lock = f"SELECT version FROM accounts WHERE id = '{account}' FOR UPDATE;" if locks else ""
            session.do(f"""START TRANSACTION; {lock}
                INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
                    SELECT 'account', id, 'x.v1.Changed', version + 1 FROM accounts WHERE id = '{account}';
                DO SLEEP({chance.choice((0, 0, 0, 0.002, 0.01))});
                UPDATE accounts SET version = version + 1 WHERE id = '{account}';
                {'COMMIT' if is_kept else 'ROLLBACK'}""")
            committed[number] += is_kept
        session.close()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    return threads, committed


def versions_by_key(records):
    """{key: [version, ...]} in the order of the log, each id once."""
    seen, versions = set(), {}
    for record in records:
        if record.headers["id"] not in seen:
            seen.add(record.headers["id"])
            versions.setdefault(record.key.decode(), []).append(int(record.value))
    return versions


def make_race(database, accounts):
    make_outbox(database)
    database.run(RACE_DDL.format(", ".join(f"('a{i}', 0)" for i in range(accounts))))


def final_versions(database):
    return {key: int(version) for key, version in database.run("SELECT id, version FROM accounts WHERE version > 0")}


def test_a_race_of_six_writers_loses_nothing_and_reorders_no_aggregate(database, kafka, new_topic, programs, log_of):
    """Writers lock the aggregate's row before they insert into the outbox: then its versions come as they were made."""
    topic = new_topic("all", 3)
    make_race(database, 12)
    relay = programs.relay(database, kafka, topic, flags=["--poll", "1ms", "--batch-rows", "7"])
    threads, committed = race(database, 6, 60, 12, seed=1)
    for thread in threads:
        thread.join()
    records = log_of(topic).read(lambda records: len({r.headers["id"] for r in records}) == sum(committed))
    wait_empty(database, relay)
    versions = versions_by_key(records)
    assert {key: len(list_) for key, list_ in versions.items()} == final_versions(database)
    for key, list_ in versions.items():
        assert list_ == list(range(1, len(list_) + 1)), key
    assert len(records) == sum(committed)  # nobody was killed: nothing is there twice


def test_a_writer_that_doesnt_lock_its_aggregate_may_be_overtaken(database, kafka, new_topic, programs, log_of):
    """Why the lock is asked for: two writers of one aggregate, the ids in one order, the commits in the other."""
    topic = new_topic("all")
    make_race(database, 1)
    programs.relay(database, kafka, topic, flags=["--poll", "1ms"])
    log = log_of(topic)
    first, second = database.session(), database.session()
    insert_version = "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('account', 'a0', 'x.v1.Changed', '{}')"
    first.do("START TRANSACTION; " + insert_version.format("inserted first, committed last"))
    second.do("START TRANSACTION; " + insert_version.format("inserted last, committed first") + "; COMMIT")
    log.read_count(1)
    first.do("COMMIT")
    assert [r.value.decode() for r in log.read_count(2)] == ["inserted last, committed first",
                                                            "inserted first, committed last"]

    # With the lock the second one waits for the first, and takes its id behind it.
    lock = "SELECT version FROM accounts WHERE id = 'a0' FOR UPDATE;"
    first.do(f"START TRANSACTION; {lock} " + insert_version.format(1))
    second.begin(f"START TRANSACTION; {lock} " + insert_version.format(2) + "; COMMIT")
    first.do("DO SLEEP(0.1); COMMIT")
    second.end()
    assert [r.value for r in log.read_count(4)[2:]] == [b"1", b"2"]
    first.close()
    second.close()


@pytest.mark.parametrize("stop", ["kill", "stop"])
def test_one_relay_leads_and_another_takes_over(database, kafka, new_topic, programs, log_of, stop):
    topic = new_topic("all")
    make_outbox(database)
    leader = programs.relay(database, kafka, topic, name="leader")
    wait_until(lambda: leader.metric("leader") == 1, "the leader to lead")
    other = programs.relay(database, kafka, topic, name="other")
    assert other.metric("leader") == 0
    insert(database, ("a", None, "x.v1.Y", b"1"))
    log = log_of(topic)
    log.read_count(1)
    assert other.metric("rows_total") == 0
    getattr(leader, stop)()
    insert(database, ("a", None, "x.v1.Y", b"2"))
    assert [r.value for r in log.read_count(2)] == [b"1", b"2"]
    assert other.metric("leader") == 1


def test_rate_backlog_age_and_breakers_are_shown(database, kafka, new_topic, programs):
    topic = new_topic("all")
    make_outbox(database)
    insert(database, *((f"k{i}", None, "x.v1.Y", b"x" * 100) for i in range(3000)))
    database.run("UPDATE outbox SET created_at = NOW(3) - INTERVAL 100 SECOND")
    relay = programs.relay(database, kafka, topic, start=False, flags=["--batch-rows", "10"])
    relay.start()
    metrics = relay.metrics()
    assert metrics.sum("tarn_relay_oldest_row_age_seconds") >= 100
    assert 100 < metrics.sum("tarn_relay_backlog_rows") <= 3000
    assert metrics.sum("tarn_relay_breaker_state", of="database") == 0
    assert metrics.sum("tarn_relay_breaker_state", of="kafka") == 0
    wait_until(lambda: relay.metric("rows_per_second") > 0, "a rate")
    wait_empty(database, relay, 60)
    wait_until(lambda: relay.metric("oldest_row_age_seconds") == 0 and relay.metric("backlog_rows") == 0, "rest")
    assert re.search(r"leads the relay of outbox", relay.log())
