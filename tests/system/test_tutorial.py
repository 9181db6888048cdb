"""schema/README.md makes a screen in ten minutes: its files are written and its commands typed as they stand there, and
what they print is what it says."""

import os
import re
import shlex
import subprocess

import requests
from tarn import BUILD, PATIENCE, ROOT
from tarn.process import Process, environment, free_port
from tarn.waiting import wait_until

PAGE = (ROOT / "schema" / "README.md").read_text().split("## How to think about it")[0]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def files():
    """[(name, text)]: a proto block belongs to the name said last before it."""
    return [(re.findall(r"`(my/[a-z/]+\.proto)`", PAGE[:match.start()])[-1], match[1])
            for match in re.finditer(r"```proto\n(.*?)```", PAGE, re.DOTALL)]


def steps():
    """[(command, what it prints)] of all console blocks."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        lines = block.splitlines()
        while lines:
            command = lines.pop(0).removeprefix("$ ")
            end = "END" if "<<'END'" in command else None
            while lines and (end and not command.endswith(f"\n{end}") or command.endswith(("|", "\\"))):
                command += "\n" + lines.pop(0)
            printed = []
            while lines and not lines[0].startswith("$ "):
                printed.append(lines.pop(0))
            found.append((command, printed))
    return found


class Tutorial:
    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.background = []
        self.env = environment({"TARN_LISTEN": f"127.0.0.1:{free_port()}"})
        # What the page takes as given, and where it is here.
        self.places = {"build/release/": f"{BUILD}/", "build/tarn-": f"{BUILD}/tarn-", "-I my": f"-I {folder}/my",
                       "/tmp/parcels": f"{folder}/store", "localhost:8080": f"127.0.0.1:{self.port}",
                       "screens.binpb": f"{folder}/screens.binpb", "events.jsonl": f"{folder}/events.jsonl"}

    def here(self, command):
        for place, other in self.places.items():
            command = command.replace(place, other)
        return command

    def start(self, command):
        argv = shlex.split(self.here(command).removesuffix("&"))
        name = os.path.basename(argv[0])
        env = {"TARN_LISTEN": f"127.0.0.1:{self.port if name == 'tarn-query' else 0}", "TARN_ADMIN_LISTEN": "127.0.0.1:0"}
        process = Process(argv, self.folder / f"{name}.log", env=env, cwd=ROOT)
        self.background.append(process)
        return process

    def run(self, command):
        done = subprocess.run(["bash", "-c", self.here(command)], capture_output=True, text=True, cwd=ROOT,
                              env=environment(), timeout=60 * PATIENCE)
        return done.stdout.replace("\r", "")

    def ready(self):
        wait_until(lambda: requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).status_code == 200, "a screen",
                   alive=self.background)


def assert_answer(printed, wanted):
    """curl -i: each header that is shown is there; the body is the one that is shown, wherever it is wrapped."""
    at = next(i for i, line in enumerate(wanted) if line.startswith("{"))
    head, _, body = printed.partition("\n\n")
    names = {line.split(":")[0] for line in head.splitlines()}
    assert {line.split(":")[0] for line in wanted[:at] if line != "..."} <= names
    for line in ("Tarn-Position", "Cache-Control", "Content-Type"):
        assert re.search(rf"^{line}: .*$", head, re.MULTILINE)[0] in wanted
    assert body.strip() == "".join(wanted[at:])


def test_the_tutorial_is_what_happens(tmp_path):
    tutorial = Tutorial(tmp_path)
    (tmp_path / "my" / "parcel").mkdir(parents=True)
    for name, text in files():
        (tmp_path / name).write_text(text)
    checks = 0
    try:
        for command, wanted in steps():
            if command.endswith("mock_broker &"):
                broker = tutorial.start(command)
                address = wait_until(lambda: broker.log().strip(), "the broker's address", alive=[broker])
                tutorial.places[wanted[0]] = address
                continue
            if command.endswith("&"):
                tutorial.start(command)
                if "tarn-query" in command:
                    tutorial.ready()
                continue
            if " parked list " in command:  # nobody types as fast as we do
                wait_until(lambda: len(tutorial.run(command).splitlines()) == len(wanted), "what is parked")
            printed = tutorial.run(command)
            if command.startswith("curl -i "):
                assert_answer(printed, wanted)
                continue
            assert TIME.sub("", printed).splitlines() == [TIME.sub("", line) for line in wanted], command
            if " check " in command and checks == 0:  # "Make it `count: "parcels"`, compile again"
                checks += 1
                screens = tmp_path / "my" / "parcel" / "screens.proto"
                screens.write_text(screens.read_text().replace('count: "parcel"', 'count: "parcels"'))
                tutorial.run(next(c for c, _ in steps() if c.startswith("protoc ")))
        assert len(tutorial.background) == 3
        for process in reversed(tutorial.background):
            process.stop()
    finally:
        for process in reversed(tutorial.background):
            process.end()
            process.assert_sane()
