"""Generations beside each other: each followed by a thread of its own, made, served, taken back and dropped by requests."""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import threading
import time

import pytest

from survive_support import PacedPublisher, chance, tiers  # noqa: F401
from tarn import EXAMPLES, FLAVOUR
from tarn.programs import run_command
from tarn.waiting import wait_until
from tarn.workload import events, topics_for_examples


def generations(projector):
    """{name: generation} of `status`."""
    return {generation["name"]: generation for generation in projector.cli("status", "--json")["generations"]}


def served(projector):
    return next(name for name, generation in generations(projector).items() if generation["traffic"] == 100)


def ask(projector, kind, arguments, timeout_s=60, expect=None):
    """A request as commands leave it in DIR/control; its outcome, or (expect) a part of the text that it failed with."""
    control = projector.store / "control"
    (control / "requests").mkdir(parents=True, exist_ok=True)
    name = f"{time.time_ns():016x}-{os.urandom(4).hex()}"
    content = {"version": 1, "kind": kind, "arguments": arguments, "expires_at_ms": int(time.time() * 1000) + 600_000}
    (control / f"{name}.tmp").write_text(json.dumps(content))
    (control / f"{name}.tmp").rename(control / "requests" / f"{name}.json")
    outcome = control / "outcomes" / f"{name}.json"
    wait_until(outcome.exists, f"the outcome of {kind} {arguments}", timeout_s, alive=[projector.process])
    answer = json.loads(outcome.read_text())
    if expect is not None:
        assert expect in answer["failure"]["text"], answer
        return answer["failure"]
    assert "outcome" in answer, answer
    return answer["outcome"]


def rebuild(projector, name=None, **arguments):
    return ask(projector, "rebuild", {"request": name or f"test-{time.time_ns()}", **arguments})["generation"]


def folder(projector, name):
    return projector.store / "generations" / name


def wait_built(projector, name, timeout_s=120):
    """Caught up, synced and marked whole."""
    wait_until(lambda: not (folder(projector, name) / "building").exists(), f"{name} to be built", timeout_s,
               alive=[projector.process], poll_s=0.05)
    assert not (folder(projector, name) / "unsynced").exists()


def wait_all_caught_up(projector, names, timeout_s=60):
    ends = projector.kafka.ends(projector.topic_names())

    def are_caught_up():
        seen = generations(projector)
        for name in names:
            for partition in seen[name]["partitions"]:
                end = ends[(partition["topic"], partition["partition"])]
                assert partition["position"] + 1 >= end or (partition["end"] >= end and partition["lag"] == 0), partition
        return True

    wait_until(are_caught_up, f"{names} to catch up", timeout_s, alive=[projector.process], poll_s=0.1)


def digest(projector, name):
    return projector.cli("digest", name)


def publish_events(publisher, topics, count, seed=1, people=400):
    for stream, event_type, key, fields in events(count, people=people, seed=seed):
        publisher.publish(topics[stream], event_type, fields, key=key, at=1767225600000)
    publisher.flush()


@pytest.fixture
def world(kafka, new_topic, publisher, programs, store):
    """A projector that has caught up with 2,000 events in two topics of three partitions."""
    topics = topics_for_examples(new_topic)
    publish_events(publisher, topics, 2000)
    projector = programs.projector(store, kafka, topics, flags=["--memory", "64MiB"])
    projector.wait_caught_up()
    projector.event_topics = topics
    return projector


def test_a_rebuild_beside_live_traffic_ends_with_the_same_digests(world, publisher):
    stop = threading.Event()

    def publish_all():
        for number, (stream, event_type, key, fields) in enumerate(events(60000, seed=7)):
            if stop.is_set() and number % 50 == 0:
                break
            publisher.publish(world.event_topics[stream], event_type, fields, key=key, at=1767225600000 + number)
            if number % 100 == 99:
                time.sleep(0.02)

    producing = threading.Thread(target=publish_all, daemon=True)
    producing.start()
    first = served(world)
    second = rebuild(world)
    assert second != first
    wait_built(world, second)
    third = rebuild(world)  # and another one, with nothing gone of the log
    wait_built(world, third)
    stop.set()
    producing.join(60)
    publisher.flush()
    wait_all_caught_up(world, [first, second, third])
    assert digest(world, second) == digest(world, first)
    assert digest(world, third) == digest(world, first)
    assert {name: generation["state"] for name, generation in generations(world).items()} == \
        {first: "served", second: "ready", third: "ready"}
    assert world.readyz().status_code == 200


def test_the_same_request_again_makes_no_other_generation(world):
    first = rebuild(world, name="once")
    assert rebuild(world, name="once") == first
    assert rebuild(world, name="twice") != first


def test_what_is_built_is_refused_until_it_has_caught_up_and_whole_when_it_is_served(world):
    slow = rebuild(world, rate=10)
    ask(world, "promote", {"generation": slow}, expect="hasn't caught up")
    assert (folder(world, slow) / "unsynced").exists(), "a generation under construction skips syncs"
    ask(world, "promote", {"generation": slow, "force": True})
    assert not (folder(world, slow) / "unsynced").exists()
    assert served(world) == slow


def test_a_rate_holds_a_rebuild_back_and_nothing_else(world, publisher):
    slow = rebuild(world, rate=100)
    time.sleep(3)
    publish_events(publisher, world.event_topics, 200, seed=3)
    first = served(world)
    wait_all_caught_up(world, [first], 5)
    handled = sum(partition["position"] + 1 for partition in generations(world)[slow]["partitions"])
    assert generations(world)[slow]["state"] == "building"
    assert generations(world)[slow]["rate"] == 100
    assert handled < 100 * 15, "far more than ten seconds' worth"


def preloaded(source, folder):
    library = folder / f"{source}.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, pathlib.Path(__file__).with_name(f"{source}.c"), "-ldl"],
                   check=True)
    return library


@pytest.fixture
def slow_disk(tmp_path):
    """(environment of, flag): a program with the environment has a slow disk while there is a file `flag`: for each sync of
    a store whose path has `of` in it."""
    library, flag = preloaded("slow_sync", tmp_path), tmp_path / "slow"
    return lambda of, ms: {"LD_PRELOAD": str(library), "SLOW_SYNC": str(flag), "SLOW_SYNC_OF": of,
                           "SLOW_SYNC_MS": str(ms)}, flag


@pytest.mark.skipif(FLAVOUR != "release", reason="sanitizers want to be loaded first")
def test_without_a_rate_a_rebuild_holds_back_while_live_commits_take_longer(slow_disk, kafka, new_topic, publisher,
                                                                            programs, store):
    topics = topics_for_examples(new_topic)
    paced = PacedPublisher(publisher, topics, random.Random(1))
    paced.burst(100000)
    publisher.flush()
    env, flag = slow_disk
    projector = programs.projector(store, kafka, topics, flags=["--memory", "64MiB"], env=env("/generations/", 100))
    projector.wait_caught_up()
    paced.start(100)  # live commits, whose usual length becomes known

    def figure(name, generation):
        return projector.metrics().sum(f"tarn_projector_generation_{name}", generation=generation)

    def wait_built_and_look(generation):
        """The share of its time at each look."""
        seen = []
        wait_until(lambda: seen.append(figure("share_percent", generation)) or
                   not (folder(projector, generation) / "building").exists(), "it to be built", 120,
                   alive=[projector.process])
        return seen

    first = served(projector)
    handled = projector.metrics().sum("tarn_projector_records_total")
    wait_until(lambda: projector.metrics().sum("tarn_projector_records_total") > handled + 100, "live commits",
               alive=[projector.process])
    assert figure("share_percent", first) == 100
    flag.touch()
    held = rebuild(projector)
    held_at = 10  # per cent; it would need several seconds at that share
    wait_until(lambda: figure("share_percent", held) <= held_at, "its holding back", alive=[projector.process])
    assert generations(projector)[held]["state"] == "building"
    flag.unlink()
    shares = wait_built_and_look(held)
    assert max(shares) > held_at, f"it recovers: {shares}"
    paced.stop()
    wait_all_caught_up(projector, [first, held])
    assert digest(projector, held) == digest(projector, first)


@pytest.mark.skipif(FLAVOUR != "release", reason="sanitizers want to be loaded first")
def test_a_rebuild_brings_its_pages_to_the_disk_in_pieces_now_and_then_and_all_of_them_before_it_syncs(
        tmp_path, kafka, new_topic, publisher, programs, store):
    topics, order = topics_for_examples(new_topic), tmp_path / "order"
    publish_events(publisher, topics, 6000, people=6000)
    projector = programs.projector(store, kafka, topics, flags=["--memory", "64MiB"], env={
        "LD_PRELOAD": str(preloaded("write_order", tmp_path)), "WRITE_ORDER": str(order)})
    projector.wait_caught_up()
    name = rebuild(projector, rate=900)  # longer than the time between two rounds of pieces
    wait_built(projector, name, 60)
    calls = []
    for line in order.read_text().splitlines():
        what, path, offset, size = line.split(" ")
        if f"/generations/{name}/" in path:
            calls.append((what, int(offset), int(size)))
    whats = [what for what, _, _ in calls]
    sync = whats.index("sync")
    last_write = max(at for at, what in enumerate(whats[:sync]) if what == "write")
    assert "piece" in whats[:last_write], "nothing was brought to the disk while it was being filled"
    assert calls[sync][2] > 1 << 20, "more than one piece"
    covered = 0
    for what, offset, size in calls[last_write + 1:sync]:
        assert (what, offset) == ("piece", covered), "the pieces follow one another"
        covered += size
    assert covered >= calls[sync][2], "what the sync finds was brought to the disk after the last write"


def test_promote_and_rollback_change_who_is_served_and_keep_feeding_the_other(world, publisher):
    first = served(world)
    second = rebuild(world)
    wait_built(world, second)
    assert ask(world, "promote", {"generation": second}) == {"shares": [[second, 100]], "was": [[first, 100]]}
    assert generations(world)[first]["state"] == "retained"
    publish_events(publisher, world.event_topics, 500, seed=5)
    wait_all_caught_up(world, [first, second])
    assert digest(world, first) == digest(world, second)
    assert ask(world, "rollback", {}) == {"shares": [[first, 100]], "was": [[second, 100]]}
    ask(world, "drop", {"generation": first}, expect="is served")
    ask(world, "drop", {"generation": second})
    assert not folder(world, second).exists()
    ask(world, "rollback", {}, expect="no way back")
    again = rebuild(world)
    assert again not in (first, second), "a dropped name is never used again"


def test_a_rollback_that_was_carried_out_before_a_crash_is_not_carried_out_again(world):
    first = served(world)
    names = [first]
    for _ in range(2):
        names.append(rebuild(world))
        wait_built(world, names[-1])
        ask(world, "promote", {"generation": names[-1]})
    request = {"request": "the-one"}
    assert ask(world, "rollback", request)["shares"] == [[names[1], 100]]
    assert ask(world, "rollback", request)["shares"] == [[names[1], 100]]
    assert ask(world, "rollback", {"request": "another"})["shares"] == [[names[0], 100]]


def test_a_retained_generation_goes_when_its_time_is_over(world):
    first = served(world)
    second = rebuild(world)
    wait_built(world, second)
    ask(world, "promote", {"generation": second, "retain_ms": 1500})
    assert first in generations(world)
    wait_until(lambda: not folder(world, first).exists(), "the end of its time", 20, alive=[world.process])
    assert list(generations(world)) == [second]


def test_offsets_and_times_to_start_from_make_a_partial_generation(world, publisher, kafka):
    ends = kafka.ends(world.topic_names())
    stream_topic = world.event_topics["loan"]
    start = {f"{topic}/{partition}": end for (topic, partition), end in ends.items()}
    start[f"{stream_topic}/0"] = 0
    some = rebuild(world, start=start)
    publish_events(publisher, world.event_topics, 100, seed=11)
    wait_built(world, some)
    shown = generations(world)[some]
    assert shown["is_partial"] is True
    assert digest(world, some) != digest(world, served(world))
    ask(world, "promote", {"generation": some}, expect="starts later than the beginning")

    now = int(time.time() * 1000)
    publisher.publish(world.event_topics["lender"], "lender.v1.LenderChanged", {"lender_id": "NEW", "name": "New"},
                      key="NEW", at=now)
    publisher.flush()
    late = rebuild(world, start=f"time:{now}")
    wait_built(world, late)
    lines = digest(world, late).split()
    assert lines[:2] == ["bureau-report", "0"], lines
    assert "NEW" in world.cli("get", "lenders", "NEW", "--generation", late)
    ask(world, "rebuild", {"request": "x", "start": {"nowhere/0": 1}}, expect="not a partition")
    ask(world, "rebuild", {"request": "x", "start": "tomorrow"}, expect="a start is")


def test_a_sample_holds_a_part_of_the_owners_and_is_never_promoted(world):
    first = served(world)
    sample = rebuild(world, sample_percent=25)
    wait_built(world, sample)
    counts = [{line.split()[0]: int(line.split()[1]) for line in digest(world, name).splitlines()}
              for name in (first, sample)]
    share = sum(counts[1].values()) / sum(counts[0].values())
    assert 0.1 < share < 0.4, share
    assert generations(world)[sample]["sample"] == 25
    ask(world, "promote", {"generation": sample, "force": True}, expect="a sample")


def test_an_erasure_mark_is_taken_over_even_when_kafka_no_longer_tells_the_erasure(world, publisher):
    publisher.publish(world.event_topics["identity"], "identity.v1.UserErased", {"user_id": "u1"}, key="u1")
    publisher.flush()
    first = served(world)
    wait_all_caught_up(world, [first])
    ends = world.kafka.ends(world.topic_names())
    people = world.event_topics["identity"]
    start = {f"{topic}/{partition}": end if topic == people else 0 for (topic, partition), end in ends.items()}
    second = rebuild(world, start=start)  # everything but the erasure
    wait_built(world, second)
    assert "u1" not in world.cli("get", "monthly-spending", "u1", "--generation", second, expect=2)


def test_a_copy_holds_what_it_was_copied_from_and_goes_on_from_there(world, publisher):
    first = served(world)
    copied = rebuild(world, from_generation=first)
    wait_built(world, copied)
    assert digest(world, copied) == digest(world, first)
    assert not world.log().count("read from their start") > 2, "the copy read nothing anew"
    publish_events(publisher, world.event_topics, 300, seed=13)
    wait_all_caught_up(world, [first, copied])
    assert digest(world, copied) == digest(world, first)


@pytest.mark.skipif(FLAVOUR != "release", reason="sanitizers want to be loaded first")
def test_while_a_generation_is_copied_requests_probes_and_a_stop_are_obeyed(slow_disk, kafka, new_topic, publisher,
                                                                            programs, store):
    topics = topics_for_examples(new_topic)
    publish_events(publisher, topics, 2000)
    env, flag = slow_disk
    projector = programs.projector(store, kafka, topics, env=env("/generations/.", 60_000))
    projector.wait_caught_up()
    first = served(projector)
    flag.touch()
    control = store / "control"
    request = {"version": 1, "kind": "rebuild", "arguments": {"request": "copy", "from_generation": first},
               "expires_at_ms": int(time.time() * 1000) + 600_000}
    (control / "requests" / "0123-abcd.json").write_text(json.dumps(request))
    wait_until(lambda: list((store / "generations").glob(".*/data.mdb")), "the copy", alive=[projector.process])
    ask(projector, "rollback", {}, expect="no way back")
    publish_events(publisher, topics, 500, seed=3)
    wait_all_caught_up(projector, [first])
    wait_until(lambda: projector.metrics().sum("tarn_projector_position", generation=first) >= 2500, "what is told",
               alive=[projector.process])
    assert projector.readyz().status_code == 200
    assert (control / "taken" / "0123-abcd.json").exists() and set(generations(projector)) == {first}
    assert projector.stop() < 2
    flag.unlink()
    projector.start()  # goes on with the request
    wait_until(lambda: len(generations(projector)) == 2, "the copy", alive=[projector.process])
    second = (set(generations(projector)) - {first}).pop()
    wait_built(projector, second)
    wait_all_caught_up(projector, [first, second])
    assert digest(projector, first) == digest(projector, second)
    assert [entry.name for entry in (store / "generations").iterdir() if entry.name.startswith(".")] == []


def test_two_are_held_at_the_same_positions_while_traffic_goes_on(world, publisher):
    second = rebuild(world)
    wait_built(world, second)
    stop = threading.Event()

    def publish_all():
        for number, (stream, event_type, key, fields) in enumerate(events(100000, seed=17)):
            if stop.is_set():
                break
            publisher.publish(world.event_topics[stream], event_type, fields, key=key, at=1767225600000)
            if number % 20 == 19:
                time.sleep(0.01)

    producing = threading.Thread(target=publish_all, daemon=True)
    producing.start()
    first = served(world)
    for _ in range(5):
        held = wait_until(lambda: try_hold(world, first, second), "both at one position", 30, alive=[world.process])
        shown = generations(world)
        positions = [{(p["topic"], p["partition"]): p["position"] + 1 for p in shown[name]["partitions"]}
                     for name in (first, second)]
        assert positions[0] == positions[1]
        assert positions[0] == {(p["topic"], p["partition"]): p["offset"] for p in held["positions"]}
        assert digest(world, first) == digest(world, second)
        ask(world, "release", {"hold": held["hold"]})
    stop.set()
    producing.join(30)
    publisher.flush()
    wait_all_caught_up(world, [first, second])
    assert digest(world, first) == digest(world, second)


def try_hold(projector, *names, lease_ms=5000):
    try:
        return ask(projector, "hold", {"generations": list(names), "lease_ms": lease_ms})
    except AssertionError:
        return None


def test_a_hold_that_nobody_ends_ends_by_itself(world, publisher):
    second = rebuild(world)
    wait_built(world, second)
    first = served(world)
    wait_until(lambda: try_hold(world, first, second, lease_ms=1500), "the hold", alive=[world.process])
    publish_events(publisher, world.event_topics, 100, seed=19)
    wait_all_caught_up(world, [first, second], 20)


def test_one_that_an_unclean_reboot_left_half_synced_is_thrown_away_and_made_anew(world):
    slow = rebuild(world, name="the-rebuild", rate=50)
    wait_until(lambda: (folder(world, slow) / "unsynced").exists() and (folder(world, slow) / "data.mdb").exists(),
               "its first commit", alive=[world.process])
    world.kill()
    world.start()
    assert slow in generations(world), "a killed process takes nothing with it"
    world.kill()
    (folder(world, slow) / "unsynced").write_text("another boot")
    done = run_command("digest", slow, "--store", world.store)
    assert done.status != 0 and "can't be trusted" in done.err, "it is never opened"
    world.start()
    wait_until(lambda: not folder(world, slow).exists(), "its end", alive=[world.process])
    names = set(generations(world))
    assert slow not in names and len(names) == 2
    again = (names - {served(world)}).pop()
    assert (folder(world, again) / "made_by").read_text() == "the-rebuild"
    assert "thrown away" in world.log()


def test_a_full_disk_pauses_the_rebuild_and_nothing_else(kafka, new_topic, publisher, programs, store):
    topics = topics_for_examples(new_topic)
    publish_events(publisher, topics, 2000)
    free = shutil.disk_usage(store.parent).free
    projector = programs.projector(store, kafka, topics, flags=["--memory", "64MiB", "--disk-reserve", str(free * 2)])
    projector.wait_caught_up()
    first = served(projector)
    second = rebuild(projector)
    wait_until(lambda: "--disk-reserve" in (generations(projector)[second]["problem"] or ""), "the pause",
               alive=[projector.process])
    publish_events(publisher, topics, 500, seed=23)
    wait_all_caught_up(projector, [first])
    assert generations(projector)[second]["state"] == "building"
    assert projector.readyz().status_code == 200
    projector.stop()
    projector.flags = ["--memory", "64MiB"]
    projector.start()
    wait_built(projector, second)
    wait_all_caught_up(projector, [first, second])
    assert digest(projector, first) == digest(projector, second)


def test_a_stop_is_obeyed_in_the_middle_of_a_rebuild(world, publisher):
    publish_events(publisher, world.event_topics, 5000, seed=29)
    second = rebuild(world, rate=500)
    assert world.stop() < 2
    world.start()
    wait_built(world, second)
    wait_all_caught_up(world, [served(world), second])
    assert digest(world, second) == digest(world, served(world))


def test_parked_events_are_retried_and_dropped_in_every_generation(world, publisher):
    topic = world.event_topics["lender"]
    for number in range(3):
        publisher.publish(topic, "lender.v1.LenderChanged", None, key=f"bad{number}", raw=b"\xff\xff\xff")
    publisher.flush()
    first = served(world)
    wait_until(lambda: generations(world)[first]["parked"] == 3, "the parked ones", alive=[world.process])
    ask(world, "parked-drop", {"topic": topic, "key": b"bad0".hex()})
    second = rebuild(world)
    wait_built(world, second)
    assert generations(world)[second]["parked"] == 2, "dropped ones stay dropped"
    # One that was just built is closed and opened again; what is dropped meanwhile isn't counted there.
    ready_again = f"generation {second}: ready: caught up"
    wait_until(lambda: world.process.log().count(ready_again) == 2, "it to be followed", alive=[world.process])
    assert ask(world, "parked-drop", {"topic": topic, "key": b"bad1".hex()})["dropped"] == 2
    assert ask(world, "parked-drop", {"all": True, "generation": second})["dropped"] == 1
    wait_until(lambda: [g["parked"] for g in generations(world).values()] == [0, 0], "the decision in the other one too",
               alive=[world.process])
