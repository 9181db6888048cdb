"""tarn-query follows what `serving` says: no answer fails, none is torn or mixed, and a person stays on one side."""

import collections
import os
import signal
import time

import pytest
from cutover_support import OWNERS, Load, make_store, publish_screens
from survive_support import chance, tiers  # noqa: F401 (a fixture)
from tarn import PATIENCE
from tarn.waiting import wait_until

FOLLOWED_S = 0.2


@pytest.fixture
def two_generations(programs, kafka, new_topic, tmp_path):
    topic = new_topic("shop", 2)
    publish_screens(kafka, topic)
    return make_store(programs, kafka, topic, tmp_path)


def change(store, chance):
    """One promote, share or rollback."""
    kind = chance.choice(("promote", "share", "rollback"))
    if kind == "rollback" and store.roll_back():
        return
    if kind == "share":
        store.command("promote", store.other(), "--traffic", chance.randrange(1, 100))
    else:
        store.command("promote", store.other())


def follows(query, store):
    """What the server says it serves is what serving says."""
    metrics, shares = query.metrics(), dict(store.shares())
    name = "tarn_query_generation_share_percent"
    if not any(sample == name and has["generation"] == other for sample, has, _ in metrics.samples for other in shares):
        return False
    served = {has["generation"]: value for sample, has, value in metrics.samples if sample == name and value > 0}
    return served == shares


@tiers(short={"cutovers": 60}, soak={"cutovers": 1000, "fixed_seed": False})
def test_promotes_and_rollbacks_under_load_fail_tear_and_mix_no_answer(tier, chance, programs, two_generations):
    store = two_generations
    query = programs.query(store.path)
    late = []
    with Load(query, store) as load:
        for _ in range(tier["cutovers"]):
            change(store, chance)
            began = time.monotonic()
            wait_until(lambda: follows(query, store), f"{store.shares()}", alive=[query.process], poll_s=0.01)
            late.append(time.monotonic() - began)
    late.sort()
    print(f"{tier['cutovers']} changes, followed after {late[len(late) // 2]:.3f} s, the slowest {late[-1]:.3f} s")
    assert set(load.result["answers"]) == set(store.letters)
    assert late[len(late) // 2] < FOLLOWED_S * PATIENCE
    assert " error " not in query.log()


def test_a_person_stays_on_one_side_on_every_server_while_a_share_grows(programs, two_generations):
    store = two_generations
    servers = [programs.query(store.path), programs.query(store.path)]
    candidate = store.other()
    before = set()
    for percent in (10, 40, 90):
        store.command("promote", candidate, "--traffic", percent)
        for query in servers:
            wait_until(lambda: follows(query, store), "the share", alive=[query.process])
        sides = [{number for number in range(OWNERS)
                  if query.get(f"/v1/screen/u{number}").headers["Tarn-Generation"] == candidate} for query in servers]
        assert sides[0] == sides[1]
        assert before <= sides[0]
        assert abs(len(sides[0]) - OWNERS * percent / 100) < OWNERS * 0.1
        before = sides[0]


def test_a_server_without_work_lets_go_of_what_is_no_longer_served(programs, two_generations):
    store = two_generations
    query = programs.query(store.path, flags=["--threads", "4"])
    former, candidate = store.shares()[0][0], store.other()

    def maps(name):
        with open(f"/proc/{query.process.pid}/maps") as file:
            return f"/{name}/data.mdb" in file.read()

    for number in range(20):
        query.session.close()  # another connection, and so perhaps another thread
        assert query.get(f"/v1/screen/u{number}").status_code == 200
    assert maps(former)
    store.command("promote", candidate)
    wait_until(lambda: maps(candidate) and not maps(former), "the former to be unmapped", 10, alive=[query.process])
    store.command("drop", former)
    assert query.get("/v1/screen/u1").headers["Tarn-Generation"] == candidate


def test_a_candidate_that_cannot_be_opened_costs_no_answer(programs, two_generations):
    store = two_generations
    query = programs.query(store.path)
    incumbent, candidate = store.shares()[0][0], store.other()
    data = store.path / "generations" / candidate / "data.mdb"
    with Load(query, store) as load:
        store.command("promote", candidate, "--traffic", 50)
        wait_until(lambda: follows(query, store), "the share", alive=[query.process])
        store.command("rollback")
        wait_until(lambda: follows(query, store), "the rollback", alive=[query.process])
        store.command("promote", candidate, "--traffic", 50)
        wait_until(lambda: follows(query, store), "the share", alive=[query.process])
        store.command("rollback")
        wait_until(lambda: f"/{candidate}/data.mdb" not in open(f"/proc/{query.process.pid}/maps").read(), "its end",
                   alive=[query.process])
        serving = (store.path / "serving").read_text()
        data.rename(data.with_suffix(".away"))
        (store.path / "serving.new").write_text(serving.replace(f"{incumbent} 100\n", f"{incumbent} 50\n{candidate} 50\n", 1))
        (store.path / "serving.new").rename(store.path / "serving")
        wait_until(lambda: f"generation {candidate}" in query.log().split(" error ")[-1] and " error " in query.log(),
                   "the reason in the log", alive=[query.process])
        sides = {query.get(f"/v1/screen/u{number}").headers["Tarn-Generation"] for number in range(OWNERS)}
        assert sides == {incumbent}
        data.with_suffix(".away").rename(data)
        wait_until(lambda: follows(query, store), "the share after all", alive=[query.process])
    assert set(load.result["answers"]) == {incumbent, candidate}
