"""As a new user would: an event by a client that knows nothing of Tarn, in the ways in which people do it, and the screen;
and what people trip over, with the sentence that tells them what to do."""

import shutil
import subprocess
import uuid

import pytest
from confluent_kafka import Producer
from tarn import EXAMPLES
from tarn.waiting import wait_until
from tarn.workload import STREAM_TOPICS

CHANGED = "lender.v1.LenderChanged"
NOW = "2026-11-22T09:00:00Z"

# How services say what their event is: other headers stand beside it, before and behind.
HEADERS = {
    "type": lambda event_type: {"type": event_type},
    "cloudevents": lambda event_type: {
        "ce_specversion": "1.0", "ce_id": str(uuid.uuid4()), "ce_source": "/lenders", "ce_type": event_type,
        "ce_time": NOW, "content-type": "application/protobuf"},
    "debezium-outbox": lambda event_type: {"id": str(uuid.uuid4()), "eventType": event_type},
}


def encode(event_type, text):
    """Protobuf's text format as bytes, by stock protoc."""
    return subprocess.run(["protoc", f"--descriptor_set_in={EXAMPLES}", f"--encode={event_type}"], input=text.encode(),
                          capture_output=True, check=True).stdout


def lender(number, name):
    return encode(CHANGED, f'lender_id: "L{number}" name: "{name}"')


# --- the clients ---


def kcat(kafka, topic, key, value, headers, folder):
    assert shutil.which("kcat"), "kcat isn't there: ops/dev/install.sh test installs it"
    file = folder / f"{uuid.uuid4()}.bin"
    file.write_bytes(value)
    flags = [flag for name, text in headers.items() for flag in ("-H", f"{name}={text}")]
    keyed = ["-k", key] if key is not None else []
    done = subprocess.run(["kcat", "-P", "-b", kafka.brokers, "-t", topic, *keyed, *flags, file], capture_output=True,
                          text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def confluent_kafka(kafka, topic, key, value, headers, folder):
    producer = Producer({"bootstrap.servers": kafka.brokers})
    producer.produce(topic, key=key, value=value, headers=headers)
    assert producer.flush(30) == 0


CLIENTS = {"kcat": kcat, "confluent-kafka": confluent_kafka}
clients = pytest.mark.parametrize("client", CLIENTS)


def kafka_console_producer(kafka, topic, lines, *properties):
    """The script of that name is this class with the jars of Kafka's distribution."""
    flags = [part for text in ("parse.headers=true", "parse.key=true", *properties) for part in ("--property", text)]
    done = subprocess.run(
        ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp",
         f"{kafka.libs}/*", "kafka.tools.ConsoleProducer", "--bootstrap-server", kafka.brokers, "--topic", topic, *flags],
        input=b"".join(line + b"\n" for line in lines), capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()


def console_line(headers, key, value):
    return b"\t".join([",".join(f"{name}:{text}" for name, text in headers.items()).encode(), key, value])


# --- what is there to see ---


@pytest.fixture
def topics(new_topic):
    events = new_topic("events", partitions=3)
    return {**dict.fromkeys(STREAM_TOPICS, events), "identity": new_topic("people", partitions=3)}


@pytest.fixture
def shown(kafka, topics, programs, store):
    """Both programs at work, and what they say."""

    class Shown:
        def __init__(self, **options):
            self.projector = programs.projector(store, kafka, topics, **options)
            self.query = programs.query(store)

        def wait_screen(self, path, **fields):
            def is_there():
                answer = self.query.get(path)
                assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}; parked: {self.parked()}"
                screen = answer.json()
                assert {name: screen[name] for name in fields} == fields
                return screen

            return wait_until(is_there, path, alive=[self.projector, self.query])

        def parked(self):
            """[(key, reason, the sentence that `parked show` prints)]"""
            listed = self.projector.cli("parked", "show", "--all", "--json")
            return [(event["key"], event["reason"], event["message"]) for event in listed]

        def wait_parked(self, key, reason, sentence):
            def is_there():
                found = [(why, message) for who, why, message in self.parked() if who == key]
                assert len(found) == 1, f"parked: {self.parked()}"
                why, message = found[0]
                assert why == reason and sentence in message, f"{why}: {message}"
                return True

            wait_until(is_there, f"{key} among the parked", alive=[self.projector])

    return Shown


@clients
def test_an_event_of_a_stock_client_is_on_the_screen(kafka, topics, shown, tmp_path, client):
    screens = shown()

    def send(stream, key, event_type, text, style):
        CLIENTS[client](kafka, topics[stream], key, encode(event_type, text), HEADERS[style](event_type), tmp_path)

    for style in HEADERS:
        lenders = [f"{style}-{number}" for number in range(4)]  # in more than one partition
        for name in lenders:
            send("lender", name, CHANGED, f'lender_id: "{name}" name: "Bank {name}"', style)
        send("identity", style, "identity.v1.UserRenamed", f'user_id: "{style}" name: "지우"', style)
        send("genetics", style, "genetics.v1.AnalysisCompleted", f"""user_id: "{style}" report_id: "r1"
             markers {{ category: "skin" code: "rs1" risk: HIGH score: 90.5 }}""", style)
        for name in lenders:
            screens.wait_screen(f"/v1/lenders/{name}", name=f"Bank {name}", listed=True)
        screen = screens.wait_screen(f"/v1/genetic-result/{style}", userName="지우", reportId="r1")
        assert screen["categories"][0]["markers"][0]["score"] == 90.5
    assert screens.parked() == []


def test_kafkas_console_producer_sends_what_a_line_can_hold(kafka, topics, shown):
    """Its records are lines: bytes that are text without a newline, which a message is whose first field is a number."""
    screens = shown()
    institutions = {number: encode("institution.v1.InstitutionChanged", f'code: {number} name: "{name}"')
                    for number, name in ((4, "KB"), (88, "Shinhan"))}
    kafka_console_producer(kafka, topics["institution"], [
        *(console_line(HEADERS[style]("institution.v1.InstitutionChanged"), str(number).encode(), institutions[number])
          for number, style in ((4, "cloudevents"), (88, "debezium-outbox")))])
    screens.wait_screen("/v1/institution/4", code=4, name="KB")
    screens.wait_screen("/v1/institution/88", code=88, name="Shinhan")
    assert screens.parked() == []


def test_kafkas_console_producer_takes_a_lender_out_with_a_null_value(kafka, topics, shown, tmp_path):
    screens = shown()
    kcat(kafka, topics["lender"], "L1", lender(1, "Bank"), HEADERS["type"](CHANGED), tmp_path)
    screens.wait_screen("/v1/lenders/L1", name="Bank")
    # Its partitioner is Java's, kcat's is librdkafka's: this null value may be in another partition, and that is fine here.
    kafka_console_producer(kafka, topics["lender"], [console_line({"any": "thing"}, b"L1", b"NULL")], "null.marker=NULL")
    wait_until(lambda: screens.query.get("/v1/lenders/L1").status_code == 404, "the end of the lender",
               alive=[screens.projector])


# --- Confluent's framing: what its ProtobufSerializer puts before a message ---


def framed(value, indexes=b"\0", schema_id=7):
    """0, the schema's id, which message of the schema's file it is: 0 stands for the first, else a count and so many numbers
    (zigzag varints)."""
    return b"\0" + schema_id.to_bytes(4, "big") + indexes + value


def test_values_in_the_schema_registrys_framing_are_read_when_the_store_was_made_so(kafka, topics, shown):
    screens = shown(flags=["--framing", "confluent"])
    for number, indexes in enumerate([b"\0", b"\2\0", b"\2\4", b"\4\2\0"]):  # the first, in full too; the third; nested
        confluent_kafka(kafka, topics["lender"], f"L{number}", framed(lender(number, "Framed"), indexes),
                        HEADERS["cloudevents"](CHANGED), None)
        screens.wait_screen(f"/v1/lenders/L{number}", name="Framed")
    # Without it, a store that was made so says what it misses.
    confluent_kafka(kafka, topics["lender"], "L9", lender(9, "Bank"), {"type": CHANGED}, None)
    screens.wait_parked("L9", "unparseable", "made without --framing confluent")
    assert len(screens.parked()) == 1


# --- what people trip over ---

STUMBLES = {
    "framed-value": (dict(value=framed(b"\x0a\x02L1")), "unparseable", "made with --framing confluent"),
    "json-value": (dict(value=b'{"lenderId": "L1", "name": "Bank"}'), "unparseable", "the value looks like JSON"),
    "json-key": (dict(key='"L1"'), "foreign key", "StringConverter"),
    "connect-json-key": (dict(key='{"schema":{"type":"string","optional":false},"payload":"L1"}'), "foreign key",
                         "the key looks like JSON"),
    "framed-key": (dict(key="\0\0\0\0\7L1"), "foreign key", "keys are plain text"),
    "no-type": (dict(headers={"content-type": "application/protobuf"}), "no type",
                "no header tells its type (looked for: type, ce_type, eventType), and no --topic-type is set"),
    "misnamed-type-header": (dict(headers={"event_type": CHANGED}), "no type", "looked for: type, ce_type, eventType"),
    "no-key": (dict(key=None), "no key", "the record has no key"),
    "cut-at-a-newline": (dict(value=b"\x0a"), "unparseable", "lender.v1.LenderChanged.lender_id"),
    "wrong-topic": (dict(headers={"type": "identity.v1.UserRenamed"}), "wrong topic",
                    "stream identity comes from another topic"),
}


def test_what_people_trip_over_is_parked_with_a_sentence_that_says_what_to_do(kafka, topics, shown, tmp_path):
    keys = {}
    for number, (name, (changes, _, _)) in enumerate(STUMBLES.items()):
        record = {"key": f"L{number}", "value": lender(number, "Bank"), "headers": {"type": CHANGED}, **changes}
        confluent_kafka(kafka, topics["lender"], record["key"], record["value"], record["headers"], tmp_path)
        keys[name] = record["key"]
    screens = shown()
    for name, (_, reason, sentence) in STUMBLES.items():
        screens.wait_parked(keys[name], reason, sentence)
    for number in range(len(STUMBLES)):
        assert screens.query.get(f"/v1/lenders/L{number}").status_code == 404
    assert len(screens.parked()) == len(STUMBLES)


def test_a_type_that_no_screen_handles_is_skipped_and_counted(kafka, topics, shown, tmp_path):
    screens = shown()
    confluent_kafka(kafka, topics["lender"], "L1", lender(1, "Bank"), {"type": "LenderChanged"}, tmp_path)  # no package
    wait_until(lambda: screens.projector.metrics().sum("tarn_projector_events_total", outcome="unhandled_type") == 1, "the count",
               alive=[screens.projector])
    assert screens.parked() == []
