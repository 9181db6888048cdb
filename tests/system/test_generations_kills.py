"""kill -9 of the projector at random moments of rebuild, promote, rollback and drop, under load: the next start goes on,
nothing half-made is served, and all generations that are left hold the same."""

import json
import os
import time

from survive_support import PacedPublisher, Readers, chance, tiers  # noqa: F401 (a fixture)
from test_generations import digest, folder, generations, served, wait_all_caught_up
from tarn.waiting import wait_until
from tarn.workload import topics_for_examples

RATE = 2500
SCREENS = ("monthly-spending", "unified-balance", "genetic-result")


class Requests:
    """Left in DIR/control as commands do, and remembered until they are answered."""

    def __init__(self, projector):
        self.control = projector.store / "control"
        self.open = {}
        self.answers = []

    def leave(self, kind, arguments):
        name = f"{time.time_ns():016x}-{os.urandom(4).hex()}"
        content = {"version": 1, "kind": kind, "arguments": arguments, "expires_at_ms": int(time.time() * 1000) + 600_000}
        (self.control / f"{name}.tmp").write_text(json.dumps(content))
        (self.control / f"{name}.tmp").rename(self.control / "requests" / f"{name}.json")
        self.open[name] = (kind, arguments)

    def take_answers(self):
        for name in list(self.open):
            outcome = self.control / "outcomes" / f"{name}.json"
            if outcome.exists():
                self.answers.append((*self.open.pop(name), json.loads(outcome.read_text())))
        return not self.open


@tiers(short={"kills": 6}, soak={"kills": 50, "fixed_seed": False})
def test_kills_in_the_middle_of_changes_leave_generations_that_go_on(tier, chance, kafka, new_topic, publisher, programs,
                                                                     tmp_path):
    topics = topics_for_examples(new_topic, partitions=2)
    paced = PacedPublisher(publisher, topics, chance)
    paced.burst(4000)
    publisher.flush()
    projector = programs.projector(tmp_path / "store", kafka, topics, flags=["--memory", "64MiB"])
    projector.wait_caught_up()
    query = programs.query(projector.store)
    requests = Requests(projector)
    made, dropped = set(), set()
    paced.start(RATE)
    paths = [f"/v1/{view}/u{user}" for view in SCREENS for user in range(0, 400, 7)]
    with Readers(query, paths, chance, pause_s=0.02):
        for kill in range(tier["kills"]):
            now, shown = served(projector), generations(projector)
            made |= set(shown)
            ready = [name for name, generation in shown.items() if generation["state"] in ("ready", "retained")]
            others = [name for name in shown if name != now]
            kinds = ["rebuild"] if len(shown) < 2 else ["rebuild", "promote", "rollback", "drop"]
            kind = chance.choice(kinds) if len(shown) < 4 else "drop"
            requests.leave(kind, {"rebuild": {"request": f"rebuild-{kill}"},
                                  "promote": {"generation": chance.choice(ready or others or [now])},
                                  "rollback": {},
                                  "drop": {"generation": chance.choice(others or [now])}}[kind])
            time.sleep(chance.random() ** 2 * 0.6)
            projector.kill()
            print(f"kill {kill}: in the middle of {kind}; {sorted(shown)}, {now} served")
            projector.start()
            wait_until(requests.take_answers, "the request to be carried out", 60, alive=[projector.process])
            last_kind, arguments, answer = requests.answers[-1]
            left = set(generations(projector))
            assert not dropped & left, "a dropped name is back"
            if last_kind == "rebuild":
                assert answer["outcome"]["generation"] in left, answer
                makers = [(folder(projector, name) / "made_by").read_text() for name in left
                          if (folder(projector, name) / "made_by").exists()]
                assert makers.count(f"rebuild-{kill}") == 1, "the same request made two"
            if last_kind == "drop" and "outcome" in answer:
                dropped.add(arguments["generation"])
                assert arguments["generation"] not in left
            if last_kind == "promote" and "outcome" in answer:
                assert served(projector) == arguments["generation"]
            hidden = [entry.name for entry in (projector.store / "generations").iterdir()
                      if entry.name.startswith(".trash")]
            assert not hidden, "what was dropped is deleted"
            assert (folder(projector, served(projector)) / "unsynced").exists() is False
            query.assert_alive()
    paced.stop()
    names = list(generations(projector))
    wait_until(lambda: not any((folder(projector, name) / "building").exists() for name in names), "all to be built", 120,
               alive=[projector.process])
    wait_all_caught_up(projector, names, 120)
    expected = digest(projector, served(projector))
    for name in names:
        assert digest(projector, name) == expected, name
    assert paced.published >= 4000 + tier["kills"] * 500


@tiers(short={"backlog": 30000}, soak={"backlog": 1000000})
def test_an_erasure_in_the_middle_of_two_rebuilds_is_in_all_of_them(tier, chance, kafka, new_topic, publisher, programs,
                                                                    tmp_path):
    topics = topics_for_examples(new_topic, partitions=2)
    paced = PacedPublisher(publisher, topics, chance)
    paced.burst(tier["backlog"])
    publisher.flush()
    projector = programs.projector(tmp_path / "store", kafka, topics, flags=["--memory", "64MiB"])
    projector.wait_caught_up()
    first = served(projector)
    requests = Requests(projector)
    for number in range(2):
        requests.leave("rebuild", {"request": f"r{number}", "rate": tier["backlog"] // 4})
    wait_until(requests.take_answers, "both rebuilds to begin", alive=[projector.process])
    names = [answer["outcome"]["generation"] for _, _, answer in requests.answers]
    erased = [f"u{number}" for number in range(0, 400, 9)]
    for user in erased:
        publisher.publish(topics["identity"], "identity.v1.UserErased", {"user_id": user}, key=user)
    publisher.flush()
    assert generations(projector)[names[0]]["state"] == "building", "the erasure came in the middle"
    paced.burst(2000)
    publisher.flush()
    wait_until(lambda: not any((folder(projector, name) / "building").exists() for name in names), "both to be built", 300,
               alive=[projector.process])
    wait_all_caught_up(projector, [first, *names], 120)
    assert digest(projector, names[0]) == digest(projector, names[1]) == digest(projector, first)
    for name in (first, *names):
        assert all(projector.cli("get", "monthly-spending", user, "--generation", name, expect=2) == "" for user in
                   erased[:5])
