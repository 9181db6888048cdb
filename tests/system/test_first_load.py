"""First loads: rows of the write database become events, in the order of commits with what the outbox brings."""

import json
import random
import threading

import pytest
from tarn import EXAMPLE_FOLDER, EXAMPLES, ROOT
from tarn.golden import STREAMS
from tarn.programs import run_command
from tarn.relay import relay_command
from tarn.waiting import wait_until

LOADED = ["--schema", EXAMPLES, "--first-load", "unified-balance"]


def make_tables(database):
    done = relay_command(database, "--init")
    assert done.status == 0, done.err
    database.run((EXAMPLE_FOLDER / "balance/tables.sql").read_text())
    database.run((EXAMPLE_FOLDER / "lender/tables.sql").read_text())


def fill(database, people, accounts=2):
    database.run(f"""INSERT INTO people SELECT CONCAT('u', seq), CONCAT('이름 😀 ', seq) FROM seq_1_to_{people};
        INSERT INTO consents SELECT CONCAT('u', seq), 4, 'KB', '2027-01-31 00:00:00.5' FROM seq_1_to_{people};
        INSERT INTO accounts SELECT CONCAT('u', p.seq), 4, CONCAT('no', a.seq), 'Main', 'SAVINGS', p.seq * 10 + a.seq, NULL
            FROM seq_1_to_{people} p, seq_1_to_{accounts} a""")


def wait_loaded(relay, count=4, timeout_s=60):
    wait_until(lambda: relay.log().count(": done, ") == count, f"{count} loaded queries", timeout_s, alive=[relay.process])


def view(projector, key, name="unified-balance"):
    done = run_command("get", name, key, "--json", "--store", projector.store)
    return json.loads(done.out)["view"] if done.status == 0 else None


def test_rows_of_the_write_database_become_views(database, kafka, new_topic, programs, log_of, store):
    topic = new_topic("all", 3)
    make_tables(database)
    fill(database, 50)
    relay = programs.relay(database, kafka, topic, flags=[*LOADED, "--first-load-chunk", "7"])
    wait_loaded(relay)
    records = log_of(topic).read_count(50 + 50 + 100 + 100)
    assert {r.headers["first-load"] for r in records} == {"unified-balance"}
    assert len(records) == 300 and relay.metric("first_load_rows_total") == 300

    projector = programs.projector(store, kafka, topic)
    projector.wait_caught_up()
    assert view(projector, "u7") == {
        "userId": "u7", "userName": "이름 😀 7", "assetsKrw": "143", "debtsKrw": "0", "accounts": 2,
        "institutions": [{"institutionCode": 4, "name": "KB", "consentUntil": "2027-01-31T00:00:00.500Z",
                          "assetsKrw": "143", "debtsKrw": "0", "count": 2, "accounts": [
                              {"accountNo": "no2", "name": "Main", "kind": "SAVINGS", "balanceKrw": "72"},
                              {"accountNo": "no1", "name": "Main", "kind": "SAVINGS", "balanceKrw": "71"}]}]}


def test_rows_of_one_key_are_never_cut_apart(database, kafka, new_topic, programs, log_of):
    """Chunks of 3 rows, 8 accounts a person: each person's rows lie together, and none is missing."""
    topic = new_topic("all")
    make_tables(database)
    fill(database, 5, accounts=8)
    relay = programs.relay(database, kafka, topic, flags=[*LOADED, "--first-load-chunk", "3"])
    wait_loaded(relay)
    linked = [r.key for r in log_of(topic).read_count(5 + 5 + 80) if r.headers["type"] == "balance.v1.AccountLinked"]
    assert linked == sorted(linked) and len(linked) == 40


def test_a_load_that_is_done_isnt_done_again_unless_it_is_asked_for(database, kafka, new_topic, programs, log_of):
    topic = new_topic("all")
    make_tables(database)
    fill(database, 3, accounts=1)
    first = programs.relay(database, kafka, topic, flags=LOADED)
    wait_loaded(first)
    first.stop()
    second = programs.relay(database, kafka, topic, flags=LOADED)
    wait_until(lambda: second.log().count("done before") == 4, "the load to be known")
    second.stop()
    assert second.log().count(": done, ") == 0
    third = programs.relay(database, kafka, topic, flags=[*LOADED, "--first-load-again"])
    wait_loaded(third)
    assert len(log_of(topic).read_count(24)) == 24


def test_a_killed_load_goes_on_where_it_was(database, kafka, new_topic, programs, log_of, store):
    topic = new_topic("all", 2)
    make_tables(database)
    fill(database, 400, accounts=1)
    flags = [*LOADED, "--first-load-chunk", "20", "--first-load-rate", "1000"]
    chance = random.Random(7)
    log = log_of(topic)
    for attempt in range(6):
        relay = programs.relay(database, kafka, topic, flags=flags, name=f"relay-{attempt}")
        wanted = len(log.records) + chance.randrange(20, 150)
        log.read_count(min(wanted, 1500))
        relay.kill()
    last = programs.relay(database, kafka, topic, flags=flags, name="last")
    wait_until(lambda: "goes on behind" in last.log() or "done before" in last.log(), "the load to go on")
    wait_until(lambda: database.value("SELECT COALESCE(SUM(is_done), 0) FROM outbox_first_load") == "4", "the end", 60)
    last.stop()
    records = log.read(lambda records: len({(r.headers["type"], r.key) for r in records}) == 1600)
    assert len(records) <= 1600 + 6 * 20  # each kill repeats a chunk at most
    projector = programs.projector(store, kafka, topic)
    projector.wait_caught_up()
    assert [view(projector, f"u{n}")["assetsKrw"] for n in (1, 200, 400)] == ["11", "2001", "4001"]


def test_the_rate_is_limited_and_progress_is_told(database, kafka, new_topic, programs):
    topic = new_topic("all")
    make_tables(database)
    database.run("INSERT INTO lenders SELECT CONCAT('l', seq), CONCAT('Lender ', seq) FROM seq_1_to_300")
    relay = programs.relay(database, kafka, topic, flags=[
        "--schema", EXAMPLES, "--first-load", "lenders", "--first-load-chunk", "50", "--first-load-rate", "100"])
    wait_until(lambda: "first load of lenders: " in relay.log() and " of 300 rows [" in relay.log(), "a line of progress")
    wait_until(lambda: relay.metric("first_load_rows_total") >= 100, "two chunks")
    assert relay.metric("first_load_rows_total") < 300
    assert ": done, " not in relay.log()


TILL = ROOT / "build/protos/first_load.binpb"


def test_totals_built_by_add_and_replace_are_exact_in_a_race(database, kafka, new_topic, programs, log_of, store):
    """Writers pay into accounts while the load runs: each payment is told as an ADD, each loaded row as a REPLACE. A total
    is right only when every payment is either in the loaded row, or behind it."""
    topic = new_topic("all", 3)
    done = relay_command(database, "--init")
    assert done.status == 0, done.err
    database.run("""CREATE TABLE purses (user_id VARCHAR(20) COLLATE utf8mb4_bin PRIMARY KEY, amount BIGINT NOT NULL,
            payments BIGINT NOT NULL);
        INSERT INTO purses SELECT CONCAT('u', seq), seq * 100, 0 FROM seq_1_to_60""")
    stop = threading.Event()

    def pay(number):
        chance = random.Random(number)
        session = database.session()
        while not stop.is_set():
            user, amount = f"u{chance.randrange(60) + 1}", chance.randrange(1, 100)
            payload = (b"\x0a" + bytes([len(user)]) + user.encode() + b"\x10" + bytes([amount])).hex()
            session.do(f"""START TRANSACTION; SELECT amount FROM purses WHERE user_id = '{user}' FOR UPDATE;
                INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
                    VALUES ('purse', '{user}', 'purse.v1.Paid', X'{payload}');
                DO SLEEP({chance.choice((0, 0, 0.005))});
                UPDATE purses SET amount = amount + {amount}, payments = payments + 1 WHERE user_id = '{user}';
                {chance.choice(("COMMIT", "COMMIT", "COMMIT", "ROLLBACK"))}""")
        session.close()

    writers = [threading.Thread(target=pay, args=(n,)) for n in range(6)]
    for writer in writers:
        writer.start()
    try:
        relay = programs.relay(database, kafka, topic, flags=[
            "--schema", TILL, "--first-load", "purse", "--first-load-chunk", "3", "--first-load-rate", "30",
            "--poll", "1ms"])
        wait_loaded(relay, 1)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    wait_until(lambda: database.value("SELECT COUNT(*) FROM outbox") == "0", "an empty outbox", alive=[relay.process])
    projector = programs.projector(store, kafka, topic, schema=TILL)
    projector.wait_caught_up()
    truth = {user: (amount, payments) for user, amount, payments in database.run("SELECT * FROM purses")}
    seen = {}
    for user in truth:
        shown = view(projector, user, "purse")
        seen[user] = (shown["amount"], shown["payments"])
    assert seen == truth
    assert sum(int(payments) for _, payments in truth.values()) > 100


@pytest.mark.parametrize("sql, complaint", [
    ("ALTER TABLE lenders RENAME TO gone", "doesn't exist"),
    ("ALTER TABLE lenders CHANGE name title VARCHAR(200)", "Unknown column 'name'"),
])
def test_a_query_that_cant_work_is_a_mistake_of_the_set_up(database, kafka, new_topic, sql, complaint):
    make_tables(database)
    database.run(sql)
    done = relay_command(database, "--brokers", kafka.brokers, "--topics", new_topic("all"), "--listen", "127.0.0.1:0",
                         "--schema", EXAMPLES, "--first-load", "lenders")
    assert done.status == 2
    assert "Lender.first_load[0]" in done.err and complaint in done.err
