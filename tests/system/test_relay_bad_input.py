"""What can be wrong with database, Kafka and rows: a clear error with the place, and nothing lost."""

import json
import pathlib
import shutil
import subprocess
import tempfile

import pytest
from confluent_kafka.admin import ConfigResource
from tarn import ROOT
from tarn.mariadb import Database
from tarn.programs import run_command
from tarn.relay import relay_command
from tarn.waiting import wait_until
from test_relay import final_versions, insert, make_outbox, make_race, race, versions_by_key, wait_empty

FIRST_LOAD = ROOT / "build/protos/first_load.binpb"


def refused(database, kafka, *arguments, env=None):
    done = relay_command(database, "--brokers", kafka.brokers, "--topics", "all", "--listen", "127.0.0.1:0", *arguments,
                         env=env)
    assert done.status == 2, done
    return done.err


def test_wrong_credentials_are_refused_with_the_place_and_without_the_password(database, kafka):
    told = refused(database.url(password="wr0ng"), kafka)
    assert f"127.0.0.1:{database.port}/bank" in told and "Access denied" in told and "wr0ng" not in told


@pytest.mark.parametrize("url, told", [
    ("postgres://u:wr0ng@h/d", "mysql://"), ("mysql://u:wr0ng@h", "no database"), ("mysql://u:wr0ng%zz@h/d", "percent-escape"),
    ("mysql://u:wr0ng@h:99999/d", "port")])
def test_a_malformed_url_is_a_mistake_and_its_password_isnt_told(kafka, url, told):
    said = refused(url, kafka)
    assert "--database" in said and told in said and "wr0ng" not in said


def test_a_database_that_isnt_there_is_a_mistake(database, kafka):
    assert "nowhere" in refused(database.url(database="nowhere"), kafka)


def test_a_table_that_isnt_there_or_lacks_columns_is_a_mistake(database, kafka):
    assert "there is no table outbox" in refused(database, kafka)
    database.run("CREATE TABLE outbox (id BIGINT PRIMARY KEY, aggregateid TEXT, payload BLOB)")
    assert "table outbox lacks aggregatetype, type" in refused(database, kafka)
    database.run("ALTER TABLE outbox ADD aggregatetype TEXT, ADD type TEXT, MODIFY id CHAR(36)")
    assert "id is no integer" in refused(database, kafka)


def test_plain_text_is_refused_unless_it_is_asked_for(database, kafka):
    make_outbox(database)
    told = refused(database, kafka, env={"TARN_DATABASE_TLS": "required"})
    assert "SSL" in told or "TLS" in told


def test_a_read_only_server_is_named_and_waited_for(own_database, kafka, new_topic, programs, log_of):
    topic = new_topic("all")
    make_outbox(own_database)
    insert(own_database, ("a", None, "x.v1.Y", b"1"))
    own_database.run("SET GLOBAL read_only = 1")
    relay = programs.relay(own_database, kafka, topic, wait_ready=False)
    wait_until(lambda: "name the writer" in relay.readyz().text, "the reason")
    assert relay.readyz().status_code == 503 and relay.metric("leader") == 0
    own_database.run("SET GLOBAL read_only = 0")
    assert log_of(topic).read_count(1)[0].value == b"1"
    relay.wait_ready()


def test_a_payload_of_ten_megabytes_arrives_where_the_topic_takes_it(database, kafka, new_topic, programs, log_of):
    topic = new_topic("large", max_message_bytes=20 << 20)
    make_outbox(database)
    database.run("""INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
        VALUES ('t', 'a', 'x.v1.Y', REPEAT('x', 10 * 1024 * 1024)), ('t', 'b', 'x.v1.Y', REPEAT('y', 10 * 1024 * 1024))""")
    programs.relay(database, kafka, topic, flags=["--batch-bytes", "1MiB"])
    assert [r.value for r in log_of(topic).read_count(2)] == [b"x" * (10 << 20), b"y" * (10 << 20)]


def test_a_record_that_the_topic_refuses_is_named_and_kept(database, kafka, new_topic, programs, log_of):
    topic = new_topic("small")
    make_outbox(database)
    database.run("""INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload)
        VALUES (1, 't', 'a', 'x.v1.Y', '1'), (2, 't', 'a', 'x.v1.Y', REPEAT(MD5(RAND()), 100000)), (3, 't', 'a', 'x.v1.Y', '3')""")
    database.run("UPDATE outbox SET payload = CONCAT((SELECT GROUP_CONCAT(MD5(seq) SEPARATOR '') FROM seq_1_to_30000), payload) "
                 "WHERE id = 2")
    relay = programs.relay(database, kafka, topic, wait_ready=False, flags=["--kafka", "compression.type=none"])
    wait_until(lambda: relay.readyz().status_code == 503 and "row 2" in relay.readyz().text, "the row to be named")
    assert database.value("SELECT COUNT(*) FROM outbox") == "3"
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, set_config={"max.message.bytes": str(20 << 20)})
    for future in kafka.admin.alter_configs([resource]).values():
        future.result(10)
    assert [r.headers["id"] for r in log_of(topic).read_count(3)] == ["1", "2", "3"]
    wait_empty(database, relay)


def test_a_row_that_can_be_no_record_is_named_and_kept(database, kafka, new_topic, programs, log_of):
    cards = new_topic("cards")
    make_outbox(database)
    database.run("ALTER TABLE outbox MODIFY created_at DATETIME(3) NULL")
    relay = programs.relay(database, kafka, {"card": cards})
    for number, (columns, told) in enumerate([
            ("'', 'card.v1.X', NOW()", "no key"), ("'a', '', NOW()", "it has no type"),
            ("'a', 'card.v1.X', '1969-12-31 23:59:59'", "created_at is no date from 1970 on"),
            ("'a', 'card.v1.X', NULL", "created_at is no date"), ("'a', 'loan.v1.X', NOW()", "no topic for stream loan")], 10):
        database.run(f"INSERT INTO outbox (id, aggregatetype, payload, aggregateid, type, created_at) VALUES ({number}, 't', 'x', {columns})")
        wait_until(lambda: f"row {number}: " in relay.readyz().text and told in relay.readyz().text, told)
        assert database.value("SELECT COUNT(*) FROM outbox") == "1"
        database.run("DELETE FROM outbox")
    insert(database, ("a", None, "card.v1.X", b"good"))
    database.run("UPDATE outbox SET created_at = '2100-01-01'")
    assert log_of(cards).read_count(1)[0].time_ms in (4102444800000, log_of(cards).read_count(1)[0].time_ms)
    relay.wait_ready()


def test_a_database_that_is_killed_in_the_middle_loses_nothing(own_database, kafka, new_topic, programs, log_of):
    topic = new_topic("all", 2)
    make_race(own_database, 8)
    own_database.run("INSERT INTO outbox (aggregatetype, aggregateid, type, payload) SELECT 'account', 'a0', 'x.v1.Changed', seq "
                     "FROM seq_1_to_20000")
    relay = programs.relay(own_database, kafka, topic, flags=["--batch-rows", "100"])
    log = log_of(topic)
    for wanted in (1000, 3000, 6000):
        log.read_count(wanted)
        own_database.kill()
        wait_until(lambda: relay.metric("breaker_state", of="database") == 2, "an open breaker")
        assert relay.readyz().status_code == 503 and relay.metric("leader") == 0
        own_database.restart()
    records = log.read(lambda records: len({r.headers["id"] for r in records}) == 20000, 60)
    wait_empty(own_database, relay)
    assert versions_by_key(records) == {"a0": list(range(1, 20001))}
    assert len(records) <= 20000 + 3 * 100  # each kill repeats one round at most
    wait_until(lambda: relay.metric("breaker_state", of="database") == 0, "a closed breaker")


def test_a_broker_that_is_killed_in_the_middle_loses_nothing(database, own_kafka, programs, log_of):
    topic = own_kafka.create_topic("all", 2)
    make_race(database, 8)
    relay = programs.relay(database, own_kafka, topic, flags=["--batch-rows", "20", "--poll", "1ms"])
    threads, committed = race(database, 4, 60, 8, seed=2)
    wait_until(lambda: relay.metric("rows_total") > 20, "some rows")
    own_kafka.kill()
    for thread in threads:
        thread.join()
    own_kafka.restart()
    records = log_of(topic, own_kafka).read(lambda records: len({r.headers["id"] for r in records}) == sum(committed), 90)
    wait_empty(database, relay)
    versions = versions_by_key(records)
    assert {key: list_[-1] for key, list_ in versions.items()} == final_versions(database)
    for key, list_ in versions.items():
        assert list_ == list(range(1, len(list_) + 1)), key


def test_a_relay_that_is_killed_again_and_again_loses_nothing_and_reorders_nothing(database, kafka, new_topic, programs, log_of):
    topic = new_topic("all", 2)
    make_race(database, 8)
    threads, committed = race(database, 4, 80, 8, seed=3)
    for number in range(6):
        relay = programs.relay(database, kafka, topic, name=f"relay-{number}", flags=["--batch-rows", "5", "--poll", "1ms"])
        wait_until(lambda: relay.metric("rows_total") > 10 or not any(t.is_alive() for t in threads), "some rows")
        relay.kill()
    for thread in threads:
        thread.join()
    relay = programs.relay(database, kafka, topic, name="last")
    records = log_of(topic).read(lambda records: len({r.headers["id"] for r in records}) == sum(committed), 60)
    wait_empty(database, relay)
    for key, list_ in versions_by_key(records).items():
        assert list_ == list(range(1, len(list_) + 1)), key


def test_a_deposed_relay_publishes_nothing_more(database, kafka, new_topic, programs, log_of):
    """Its database session is gone, and it doesn't know: whoever leads now has taken its transactional id."""
    topic = new_topic("all")
    make_outbox(database)
    first = programs.relay(database, kafka, topic, name="first")
    wait_until(lambda: first.metric("leader") == 1, "the first to lead")
    first.process.child.send_signal(19)  # SIGSTOP
    database.run("SELECT 1; KILL {}".format(database.value(
        "SELECT id FROM information_schema.processlist WHERE user = 'tarn' AND command = 'Sleep' LIMIT 1")))
    second = programs.relay(database, kafka, topic, name="second")
    wait_until(lambda: second.metric("leader") == 1, "the second to lead")
    insert(database, *((f"k{i % 3}", None, "x.v1.Y", str(i).encode()) for i in range(30)))
    log = log_of(topic)
    log.read_count(30)
    first.process.child.send_signal(18)  # SIGCONT
    wait_until(lambda: first.metric("leader") == 0, "the first to notice")
    insert(database, *((f"k{i % 3}", None, "x.v1.Y", str(i).encode()) for i in range(30, 60)))
    assert [int(r.value) for r in log.read_count(60)] == list(range(60))
    assert second.metric("leader") == 1


EVERYTHING = """CREATE TABLE everything (id BIGINT UNSIGNED PRIMARY KEY, small BIGINT, flag TINYINT(1), fraction DECIMAL(30, 10),
    single FLOAT, kind VARCHAR(10), text TEXT, raw BLOB, at DATETIME(6), wrapped BIGINT, maybe VARCHAR(10),
    `inner.name` VARCHAR(10)) DEFAULT CHARACTER SET utf8mb4"""


@pytest.fixture
def loads_everything(database, kafka, new_topic, programs):
    make_outbox(database)
    database.run("SET GLOBAL sql_mode = ''; " + EVERYTHING)

    def start(**options):
        topic = new_topic("all")
        return topic, programs.relay(database, kafka, topic, flags=["--schema", FIRST_LOAD, "--first-load", "everything",
                                                                   "--first-load-chunk", "2"], **options)

    return start


def test_each_kind_of_column_becomes_the_field_that_it_is(database, kafka, loads_everything, programs, store):
    database.run("""INSERT INTO everything VALUES
        (18446744073709551615, -2147483648, 1, -12.5, 1.5, 'SOME', '한글 😀', X'00FF', '9999-12-31 23:59:59.999999', -1, '', 'in'),
        (1, 0, 0, 0, 0, '2', '', '', '0001-01-01', NULL, NULL, NULL), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 7, 'x', NULL)""")
    database.run("UPDATE everything SET kind = 'ALL' WHERE id = 1")
    topic, relay = loads_everything()
    wait_until(lambda: ": done, " in relay.log(), "the load", alive=[relay.process])
    projector = programs.projector(store, kafka, topic, schema=FIRST_LOAD)
    projector.wait_caught_up()

    def shown(key):
        return json.loads(run_command("get", "everything", key, "--json", "--store", store).out)["view"]

    assert shown("18446744073709551615") == {
        "id": "18446744073709551615", "small": -2147483648, "flag": True, "fraction": -12.5, "single": 1.5, "kind": "SOME",
        "text": "한글 😀", "raw": "AP8=", "at": "9999-12-31T23:59:59.999999Z", "wrapped": "-1", "maybe": "",
        "inner": {"name": "in"}}
    assert shown("1")["at"] == "0001-01-01T00:00:00Z" and shown("1")["kind"] == "ALL" and "wrapped" not in shown("1")
    assert shown("2") == {"id": "2", "small": 0, "flag": False, "fraction": 0, "single": 0, "kind": "NONE", "text": "",
                          "raw": "", "wrapped": "7", "maybe": "x"}


@pytest.mark.parametrize("change, told", [
    ("small = 2147483648", "column small (BIGINT) is out of the field's range"),
    ("flag = 2", "column flag (TINYINT) is neither 0 nor 1"),
    ("kind = 'FEW'", "column kind (TEXT) is no name of the field's enum"),
    ("at = '0000-00-00'", "column at (DATETIME) is no date from year 1 to 9999"),
])
def test_a_row_that_can_be_no_event_stops_the_load_there_and_nothing_else(database, kafka, loads_everything, log_of, change, told):
    """Chunks of 2; the third row is wrong: the first chunk is there, nothing of the second is, and the outbox goes on."""
    database.run("INSERT INTO everything (id, small, flag, kind) VALUES (1, 1, 1, 'ALL'), (2, 1, 1, 'ALL'), (3, 1, 1, 'ALL'), (4, 1, 1, 'ALL')")
    database.run(f"SET sql_mode = ''; UPDATE everything SET {change} WHERE id = 4")
    topic, relay = loads_everything(wait_ready=False)
    wait_until(lambda: relay.readyz().status_code == 503 and told in relay.readyz().text, told, alive=[relay.process])
    assert "Everything.first_load[0]: row 4: " in relay.readyz().text
    insert(database, ("a", None, "x.v1.Y", b"goes on"))
    log = log_of(topic)
    records = log.read_count(3)
    assert [r.key for r in records] == [b"1", b"2", b"a"]


@pytest.mark.parametrize("change, told", [
    ("ALTER TABLE everything DROP COLUMN small", 'field "small" has no column'),
    ("ALTER TABLE everything ADD COLUMN extra INT", 'column "extra" is no field of the event'),
    ("ALTER TABLE everything ADD COLUMN many TEXT", 'column "many" is a list'),
    ("ALTER TABLE everything DROP PRIMARY KEY, MODIFY id BIGINT UNSIGNED NULL; INSERT INTO everything (small) VALUES (1)",
     "1 rows have no id: NULL"),
])
def test_a_query_that_doesnt_give_the_events_fields_is_a_mistake(database, kafka, loads_everything, change, told):
    database.run(f"INSERT INTO everything (id) VALUES (1); {change}")
    said = refused(database, kafka, "--schema", FIRST_LOAD, "--first-load", "everything")
    assert "Everything.first_load[0]: " in said and told in said


def test_what_a_relay_cant_do_without_is_asked_for(database, kafka):
    make_outbox(database)
    assert "--first-load needs the --schema" in refused(database, kafka, "--first-load", "everything")
    assert "there is no view nothing" in refused(database, kafka, "--schema", FIRST_LOAD, "--first-load", "nothing")
    assert "--kafka acks can't be changed" in refused(database, kafka, "--kafka", "acks=1")
    done = relay_command(database)
    assert done.status == 2 and "--brokers" in done.err


def test_tls_is_used_and_the_server_is_known_by_its_certificate(tmp_path, kafka):
    for name in ("good", "other"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.pem"], check=True, capture_output=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tarn-db-"))
    database = Database(folder, more=f"ssl-cert={tmp_path}/good.pem\nssl-key={tmp_path}/good.key").start()
    try:
        def init(mode, ca=None):
            arguments = ["--init"] + (["--database-ca", tmp_path / ca] if ca else [])
            return relay_command(database, *arguments, env={"TARN_DATABASE_TLS": mode})

        assert init("required").status == 0
        assert init("verify-identity", "good.pem").status == 0
        stranger = init("verify-identity", "other.pem")
        assert stranger.status == 2 and "certificate" in stranger.err.lower()
        assert relay_command(database.url().replace("127.0.0.1", "127.0.0.2"), "--init", "--database-ca",
                             tmp_path / "good.pem", env={"TARN_DATABASE_TLS": "verify-identity"}).status != 0
    finally:
        database.stop()
        shutil.rmtree(folder, ignore_errors=True)
