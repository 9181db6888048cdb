"""Two generations in one store whose screens differ in every body, and what serving says of them."""

import json
import pathlib
import random
import subprocess
import sys

from tarn import ROOT
from tarn.events import Publisher, Schema
from tarn.programs import run_command

SCHEMAS = {letter: ROOT / "build" / "protos" / f"cutover_{letter}.binpb" for letter in "ab"}
OWNERS = 300


class Store:
    """A store with a generation of each schema, caught up; `letters`: {generation: "a" or "b"}."""

    def __init__(self, path, letters):
        self.path = path
        self.letters = letters

    def shares(self):
        """[(generation, percent)], the incumbent first."""
        lines = (self.path / "serving").read_text().splitlines()[2:]
        words = [line.split() for line in lines]
        return [(first, int(second)) for first, second, *rest in words if "-" in first]

    def roll_back(self):
        """False: there is nothing to go back to."""
        done = run_command("rollback", "--store", self.path)
        assert done.status == 0 or (done.status == 2 and "no way back" in done.err), done
        return done.status == 0

    def other(self):
        """The one that isn't the incumbent."""
        return next(name for name in self.letters if name != self.shares()[0][0])

    def command(self, *arguments):
        done = run_command(*arguments, "--store", self.path)
        assert done.status == 0, f"{arguments}: {done.status}\n{done.out}{done.err}"
        return done.out


def publish_screens(kafka, topic, owners=OWNERS):
    """A title of up to 20 KB for each owner: answers that take more than one write."""
    publisher = Publisher(kafka, Schema(SCHEMAS["a"]))
    chance = random.Random(1)
    for number in range(owners):
        title = "t" * chance.choice((3, 500, 4000, 20000))
        publisher.publish(topic, "shop.v1.Bought", {"reader": f"u{number}", "title": title}, key=f"u{number}")
    publisher.flush()


def make_store(programs, kafka, topic, tmp_path):
    """Filled with the first schema; then rebuilt with the second, beside. Its projector is stopped: the commands of the tests
    take the lock themselves."""
    path = tmp_path / "store-a"
    projector = programs.projector(path, kafka, topic, schema=SCHEMAS["a"])
    projector.wait_caught_up()
    first = projector.status()["name"]
    made = run_command("rebuild", "--schema", SCHEMAS["b"], "--wait", "--store", path, timeout_s=120)
    assert made.status == 0, made
    second = made.out.split()[1]
    projector.stop()
    return Store(path, {first: "a", second: "b"})


class Load:
    """cutover_load.py, from entering to leaving; then `result`, which is looked through."""

    def __init__(self, query, store, connections=3):
        script = pathlib.Path(__file__).with_name("cutover_load.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(query.port), json.dumps(store.letters), str(OWNERS), str(connections)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.result = None

    def __enter__(self):
        return self

    def __exit__(self, kind, fault, trace):
        out, _ = self.process.communicate("", timeout=60)
        if kind is None:
            self.result = json.loads(out)
            print(self.result)
            assert not self.result["failed"] and not self.result["mixed"], self.result
