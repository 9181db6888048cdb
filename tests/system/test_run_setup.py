"""Mistakes of the set-up are exit status 2 and name what is wrong, before anything is made."""

import pytest
from source_support import STREAMS, publish_lenders, two_topics, wait_log, wait_position
from tarn import EXAMPLES
from tarn.programs import run_command


def run(store, topics, *flags, schema=EXAMPLES):
    done = run_command("run", "--schema", schema, "--store", store, "--brokers", "127.0.0.1:1", "--topics", topics,
                       "--listen", "127.0.0.1:0", *flags)
    assert done.status == 2, done
    assert not (store / "generations").exists() or not list((store / "generations").iterdir())
    return done.err


def test_every_stream_without_a_topic_is_named(store):
    told = run(store, "lender=lenders,identity=users")
    for stream in STREAMS:
        if stream not in ("lender", "identity"):
            assert f"stream {stream} has no topic" in told


def test_a_topic_without_a_stream_and_an_unknown_stream_are_named(store):
    topics = ",".join(f"{stream}=all" for stream in STREAMS)
    assert "topic stray has no stream" in run(store, f"{topics},stray")
    assert "\"pets=dogs\" names a stream that the schema doesn't have" in run(store, f"{topics},pets=dogs")


@pytest.mark.parametrize("setting, why", [
    ("isolation.level=read_uncommitted", "aborted transactions never happened"),
    ("enable.auto.commit=true", "the position that counts is in the store"),
    ("auto.offset.reset=latest", "records that are gone must be noticed"),
    ("enable.partition.eof=false", "the store has caught up"),
    ("group.id=mine", "--group sets it"),
    ("queued.min.messages=5", "--memory sets it"),
    ("bootstrap.servers=elsewhere:9092", "--brokers sets it"),
])
def test_kafka_settings_that_exactness_rests_on_are_refused_by_name(store, setting, why):
    told = run(store, "all", "--kafka", setting)
    assert f"--kafka {setting.split('=')[0]} can't be changed" in told and why in told


def test_an_unknown_kafka_setting_is_refused_without_its_value(store):
    told = run(store, "all", "--kafka", "sasl.passwort=geheim")
    assert "sasl.passwort" in told and "geheim" not in told


@pytest.mark.parametrize("flag", ["--shard"])
def test_what_a_later_version_brings_is_refused_by_name(store, flag):
    assert flag in run(store, "all", flag, "0/2")


def test_another_schema_or_other_topics_are_warned_of_and_not_followed(kafka, new_topic, publisher, programs, store):
    topic = new_topic("all")
    publish_lenders(publisher, topic, range(3))
    projector = programs.projector(store, kafka, topic)
    projector.stop()
    projector.topics = two_topics("elsewhere", "nowhere")
    projector.start()
    wait_log(projector, "--topics differs from what generation")
    assert "tarn-projector rebuild" in projector.log()
    publish_lenders(publisher, topic, range(2))
    wait_position(projector, topic, 5)


def test_two_projectors_never_write_one_store(kafka, new_topic, programs, store):
    topic = new_topic("all")
    projector = programs.projector(store, kafka, topic)
    done = run_command("run", "--schema", EXAMPLES, "--store", store, "--brokers", kafka.brokers, "--topics", topic,
                       "--listen", "127.0.0.1:0")
    assert done.status in (1, 2)
    assert f"pid {projector.process.pid}" in done.err
