"""`make run`, as a new user meets it."""

import os
import pathlib
import re
import shlex
import signal

import pytest
import requests
from tarn import FLAVOUR, PATIENCE, ROOT
from tarn.process import Process, environment
from tarn.waiting import wait_until


class Demo:
    def __init__(self, folder):
        self.process = Process([ROOT / "ops" / "dev" / "run.sh"], folder / "run.log", env={"FLAVOUR": FLAVOUR},
                               cwd=ROOT, name="run.sh")
        wait_until(lambda: "Ctrl-C ends it all" in self.process.log(), "the demo's addresses", 60,
                   alive=[self.process])
        self.text = self.process.log()
        self.urls = re.findall(r"http://[0-9.:]+/v1/[a-z0-9/-]+", self.text)
        self.projector_pid = int(re.search(r"kill -9 (\d+)", self.text)[1])
        self.folder = pathlib.Path(re.search(r"log and the others' in (\S+)", self.text)[1])
        pid = self.process.pid
        self.children = [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def assert_nobody_is_left(self):
        def is_gone(pid):
            try:
                return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
            except FileNotFoundError:
                return True

        assert len(self.children) >= 4
        wait_until(lambda: all(is_gone(pid) for pid in self.children), "the end of every child", 10)


@pytest.fixture
def demo(tmp_path):
    demo = Demo(tmp_path)
    yield demo
    demo.process.end()


def test_every_address_that_is_printed_answers_and_ctrl_c_leaves_nobody_behind(demo):
    assert int(re.search(r"first screen came after (\d+) ms", demo.text)[1]) < 5000 * PATIENCE
    assert len(demo.urls) >= 8
    for url in demo.urls:
        answer = requests.get(url, timeout=5)
        assert answer.status_code == 200 and answer.json(), f"{url}: {answer.status_code} {answer.text}"
    demo.process.child.send_signal(signal.SIGINT)
    assert demo.process.child.wait(10) == 0
    demo.assert_nobody_is_left()
    assert not demo.folder.exists()


def test_a_demo_that_is_killed_leaves_nobody_behind(demo):
    demo.process.kill()
    demo.assert_nobody_is_left()


def test_a_killed_projector_is_outlived_by_its_screens_and_catches_up_when_it_is_started_again(demo, tmp_path):
    url = demo.urls[0]
    os.kill(demo.projector_pid, signal.SIGKILL)
    wait_until(lambda: float(requests.get(url, timeout=5).headers["Tarn-Age"]) >= 2, "Tarn-Age to grow", 20)
    assert requests.get(url, timeout=5).status_code == 200

    command = re.search(r"^  (build/\w+/tarn-projector run (?:.*\\\n)?.*)$", demo.text, re.MULTILINE)[1]
    again = Process(shlex.split(command.replace("\\\n", " ")), tmp_path / "again.log", env=environment(), cwd=ROOT,
                    name="projector")
    try:
        wait_until(lambda: float(requests.get(url, timeout=5).headers["Tarn-Age"]) <= 1, "Tarn-Age to be small again",
                   30, alive=[demo.process, again])
        demo.process.child.send_signal(signal.SIGINT)  # ends this one too, before its store goes
        assert demo.process.wait(20) == 0
        assert again.wait(5) == 0, again.log()
        demo.assert_nobody_is_left()
        assert not demo.folder.exists()
    finally:
        again.end()
