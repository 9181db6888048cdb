"""kill -9 of the projector at random moments of rebuild, promote, rollback and drop, under load: the next start goes on,
nothing half-made is served, and all generations that are left hold the same."""

import json
import os
import subprocess
import time

import pytest
from survive_support import PacedPublisher, Readers, chance, tiers  # noqa: F401 (a fixture)
from test_generations import digest, folder, generations, served, wait_all_caught_up
from tarn import BUILD, PATIENCE
from tarn.process import environment
from tarn.programs import run_command
from tarn.waiting import wait_until
from tarn.workload import topics_for_examples

RATE = 2500
LEAST_RATE = 2000
SCREENS = ("monthly-spending", "unified-balance", "genetic-result")


def served_shares(projector):
    return dict(projector.cli("generations", "--json")["served"]["shares"])


def applied_by(projector, name):
    return sum(partition["position"] + 1 for partition in generations(projector)[name]["partitions"])


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


class Changes:
    """Commands that change the set of generations, begun and killed; each kind as often as the others."""

    KINDS = ("rebuild", "promote", "rollback", "drop")

    def __init__(self, projector, chance):
        self.projector = projector
        self.chance = chance
        self.hits = dict.fromkeys(self.KINDS, 0)
        self.late = 0
        self.usual_s = dict.fromkeys(self.KINDS, 0.05)  # how long a command takes on this machine
        self.dropped = set()

    def look(self):
        """What is said, those that aren't served, and those of them that may be."""
        told = self.projector.cli("generations", "--json")
        others = [g for g in told["generations"] if g["name"] not in dict(told["served"]["shares"])]
        return told, others, [g["name"] for g in others if g["state"] in ("ready", "retained")]

    def choose(self):
        """The arguments of a command of the kind that was hit least, or of one that makes it possible."""
        kind = min(self.KINDS, key=lambda kind: (self.hits[kind], self.chance.random()))
        told, others, ready = self.look()
        if kind == "rollback" and all(was["undone"] for was in told["history"]):
            kind = "promote"
        if kind == "promote" and others and not ready:
            ready = wait_until(lambda: self.look()[2], "one that can be promoted", 600, alive=[self.projector.process])
        if kind != "rollback" and not others:
            kind = "rebuild"
        if kind == "rebuild" and len(others) > 2:
            kind = "drop"
        if kind == "promote":
            shared = ["--traffic", str(self.chance.randrange(1, 100))] if len(told["served"]["shares"]) == 1 else []
            return ["promote", self.chance.choice(ready), *(shared if self.chance.random() < 0.4 else [])]
        return [kind, self.chance.choice(others)["name"]] if kind == "drop" else [kind]

    def begin(self, arguments):
        return subprocess.Popen([BUILD / "tarn-projector", *arguments, "--store", self.projector.store],
                                env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def run_again(self, arguments):
        """The same command takes up what was left."""
        done = run_command(*arguments, "--store", self.projector.store, timeout_s=60)
        assert done.status in (0, 2), f"{arguments}: {done.status}\n{done.out}{done.err}"
        if arguments[0] == "drop" and done.status == 0:
            self.dropped.add(arguments[1])
        return done

    def is_filling(self):
        return any(g["state"] == "building" for g in self.projector.cli("generations", "--json")["generations"])

    def kill_in_the_middle(self, victims):
        arguments = self.choose()
        kind = arguments[0]
        is_filled = kind == "rebuild" and self.chance.random() < 0.5  # in the middle of what comes after the command
        command = self.begin([*arguments, "--wait"] if is_filled and victims != "projector" else arguments)
        time.sleep(self.usual_s[kind] * self.chance.random() + (self.chance.random() * 1.5 if is_filled else 0))
        is_hit = command.poll() is None or (victims != "command" and is_filled and self.is_filling())
        if victims != "command":
            self.projector.kill()
        if victims != "projector":
            command.kill()
        try:
            command.wait(60 * PATIENCE)  # which takes the lock when the projector is gone
        finally:
            command.kill()
        if victims != "command":
            self.projector.start(wait_ready=False)
        self.usual_s[kind] *= 1.05
        self.hits[kind] += is_hit
        self.late += not is_hit
        if not is_hit:
            self.usual_s[kind] *= 0.8
        if kind != "rollback":  # which again would go one step further
            self.run_again(arguments)
        return is_hit

    def check(self):
        told = self.projector.cli("generations", "--json")
        names = {g["name"] for g in told["generations"]}
        shares = dict(told["served"]["shares"])
        assert sum(shares.values()) == 100 and set(shares) <= names, told
        assert not self.dropped & names, "a dropped name is back"
        for name in shares:
            for mark in ("building", "unsynced"):
                assert not (folder(self.projector, name) / mark).exists(), f"{name} is served and {mark}"


@pytest.mark.parametrize("victims", ["projector", "command", "both"])
@tiers(short={"kills": 4, "backlog": 4000}, soak={"kills": 50, "backlog": 10000, "fixed_seed": False})
def test_kills_in_the_middle_of_changes_leave_generations_that_go_on(tier, victims, chance, kafka, new_topic, publisher,
                                                                     programs, tmp_path):
    """kill -9 of the projector, of the command, of both, at random moments of rebuild, promote, rollback and drop."""
    topics = topics_for_examples(new_topic, partitions=2)
    paced = PacedPublisher(publisher, topics, chance)
    paced.burst(tier["backlog"])
    publisher.flush()
    projector = programs.projector(tmp_path / "store", kafka, topics, flags=["--memory", "64MiB"])
    projector.wait_caught_up()
    query = programs.query(projector.store)
    changes = Changes(projector, chance)
    began, burst = time.monotonic(), paced.published
    paced.start(RATE)
    paths = [f"/v1/{view}/u{user}" for view in SCREENS for user in range(0, 400, 7)]
    with Readers(query, paths, chance, pause_s=0.02) as readers:
        while sum(changes.hits.values()) < tier["kills"]:
            changes.kill_in_the_middle(victims)
            assert changes.late <= 20 + 2 * tier["kills"], f"too late {changes.late} times: {changes.hits}"
            changes.check()
            query.assert_alive()
    took_s = time.monotonic() - began
    applied = applied_by(projector, next(iter(served_shares(projector)))) - burst
    paced.stop()
    print(f"{changes.hits} hit in the middle, {changes.late} too late; in {took_s:.0f} s {paced.published - burst} published"
          f" and {applied} applied by the served generation, {applied / took_s:.0f}/s; answers {readers.answers}, the slowest"
          f" after {readers.slowest_s * 1000:.0f} ms")
    if tier["kills"] >= 50:
        assert min(changes.hits.values()) >= 10
        assert applied / took_s >= LEAST_RATE
    names = list(generations(projector))
    wait_until(lambda: not any((folder(projector, name) / "building").exists() for name in names), "all to be built", 120,
               alive=[projector.process])
    wait_all_caught_up(projector, names, 120)
    assert len({digest(projector, name) for name in names}) == 1
    for left in ("taken", "requests"):  # but for what a command was still writing: hidden, and cleared away when it is old
        assert not [entry for entry in (projector.store / "control" / left).iterdir() if not entry.name.startswith(".")]
    assert not [entry for entry in (projector.store / "generations").iterdir() if entry.name.startswith(".trash")], \
        "what was dropped is deleted"


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
