"""`verify`: the store against the write database; what has drifted is named, and can be published again."""

import json
import threading

import pytest
from tarn import EXAMPLES
from tarn.programs import run_command
from tarn.waiting import wait_until
from test_first_load import fill, make_tables, view, wait_loaded

LOADS = ["--schema", EXAMPLES, "--first-load", "unified-balance,lenders"]


@pytest.fixture
def world(database, kafka, new_topic, programs, store):
    """20 people and 5 lenders, loaded; relay and projector running."""
    topic = new_topic("all", 2)
    make_tables(database)
    fill(database, 20)
    database.run("INSERT INTO lenders SELECT CONCAT('l', seq), CONCAT('Lender ', seq) FROM seq_1_to_5")
    relay = programs.relay(database, kafka, topic, flags=LOADS)
    wait_loaded(relay, 5)
    projector = programs.projector(store, kafka, topic)
    projector.wait_caught_up()
    return database, relay, projector


def verify(database, projector, *arguments, settle="100ms"):
    done = run_command("verify", "--store", projector.store, "--brokers", projector.kafka.brokers, "--settle", settle,
                       "--json", *arguments, env={"TARN_DATABASE": database.url(), "TARN_DATABASE_TLS": "disabled"})
    assert done.status in (0, 3), done
    answer = json.loads(done.out)
    assert done.status == (3 if answer["drift"] else 0)
    return answer


def found(answer):
    return {(d["view"], d["key"], d["kind"], d["fields"]) for d in answer["drift"]}


def test_views_that_are_as_the_write_database_says_have_not_drifted(world):
    database, _, projector = world
    answer = verify(database, projector)
    assert (answer["drift"], answer["suspects"], answer["rows"]) == ([], 0, 5 + 20 * 6)


def test_what_has_drifted_is_named_with_its_fields_and_published_again(world):
    database, _, projector = world
    database.run("""UPDATE accounts SET amount = 7 WHERE user_id = 'u3' AND account_no = 'no1';
        UPDATE people SET name = 'Other' WHERE user_id = 'u3';
        INSERT INTO lenders VALUES ('l9', 'New');
        DELETE FROM lenders WHERE lender_id = 'l2'""")  # nobody told the outbox
    answer = verify(database, projector)
    kinds = {(view_name, key): kind for view_name, key, kind, _ in found(answer)}
    assert kinds == {("unified-balance", "u3"): "different", ("lenders", "l9"): "missing", ("lenders", "l2"): "extra"}
    fields = next(d["fields"] for d in answer["drift"] if d["key"] == "u3")
    assert "user_name" in fields and "institutions.accounts.balance_krw" in fields
    assert "Other" not in json.dumps(answer)

    repaired = verify(database, projector, "--repair")
    assert {d["key"]: d["repaired_rows"] for d in repaired["drift"]} == {"u3": 6, "l9": 1, "l2": 0}
    wait_until(lambda: database.value("SELECT COUNT(*) FROM outbox") == "0", "an empty outbox")
    projector.wait_caught_up()
    assert view(projector, "u3")["assetsKrw"] == "39"  # 7 + 32
    assert found(verify(database, projector)) == {("lenders", "l2", "extra", "")}


def test_a_change_on_its_way_is_no_drift(world, examples):
    """The row has changed and its outbox row waits, as the relay is down: no drift, and none once it is there."""
    database, relay, projector = world
    relay.kill()
    payload = examples.encode("identity.v1.UserRenamed", {"userId": "u5", "name": "Renamed"}).hex()
    database.run(f"""START TRANSACTION; UPDATE people SET name = 'Renamed' WHERE user_id = 'u5';
        INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
            VALUES ('person', 'u5', 'identity.v1.UserRenamed', X'{payload}'); COMMIT""")
    answer = verify(database, projector)
    assert (answer["drift"], answer["suspects"], answer["unsettled"]) == ([], 1, 1)
    relay.start()
    wait_until(lambda: database.value("SELECT COUNT(*) FROM outbox") == "0", "an empty outbox")
    assert verify(database, projector)["suspects"] in (0, 1)
    assert verify(database, projector)["drift"] == []


def test_changes_under_way_are_no_drift(world, examples):
    database, _, projector = world
    stop = threading.Event()

    def rename():
        session, number = database.session(), 0
        while not stop.is_set():
            number += 1
            user, name = f"u{number % 20 + 1}", f"Name {number}"
            payload = examples.encode("identity.v1.UserRenamed", {"userId": user, "name": name}).hex()
            session.do(f"""START TRANSACTION; UPDATE people SET name = '{name}' WHERE user_id = '{user}';
                INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
                    VALUES ('person', '{user}', 'identity.v1.UserRenamed', X'{payload}'); COMMIT""")
        session.close()

    writer = threading.Thread(target=rename)
    writer.start()
    try:
        answers = [verify(database, projector, "unified-balance") for _ in range(3)]
    finally:
        stop.set()
        writer.join()
    assert [answer["drift"] for answer in answers] == [[], [], []]
    assert sum(answer["suspects"] for answer in answers) > 0


def test_a_sample_looks_at_some(world):
    database, _, projector = world
    database.run("UPDATE people SET name = 'Other'")
    drifted = len(verify(database, projector, "--sample", "30")["drift"])
    assert 0 < drifted < 20


def test_what_isnt_there_to_compare_with_is_a_mistake(world):
    database, _, projector = world
    env = {"TARN_DATABASE": database.url(), "TARN_DATABASE_TLS": "disabled"}
    for arguments, told in [(["credit-score"], "without first_load"), (["nothing"], "there is no view nothing"),
                            (["--sample", "0"], "--sample 0")]:
        done = run_command("verify", "--store", projector.store, "--brokers", projector.kafka.brokers, *arguments, env=env)
        assert done.status == 2 and told in done.err, done


def test_an_erased_person_whose_rows_are_still_there_has_not_drifted(world, examples):
    database, _, projector = world
    payload = examples.encode("identity.v1.UserErased", {"userId": "u8"}).hex()
    database.run(f"""INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
        VALUES ('person', 'u8', 'identity.v1.UserErased', X'{payload}')""")
    wait_until(lambda: view(projector, "u8") is None, "the erasure")
    assert verify(database, projector)["drift"] == []
