"""The whole way, as people meet it: who is told of a result sees it, whatever dies on the way, and every committed change
is on the screens exactly once (ops/dev/story; `make story` shows it)."""

import contextlib
import os
import pathlib
import random
import re
import signal
import subprocess
import sys

import pytest
from tarn import FLAVOUR, PATIENCE, ROOT
from tarn.process import Process
from tarn.waiting import wait_until

sys.path.insert(0, str(ROOT / "ops" / "dev"))
from story.account import account  # noqa: E402
from story.acts import Story  # noqa: E402
from story.crowd import busiest_second  # noqa: E402
from story.ledger import differences  # noqa: E402
from story.stage import Stage  # noqa: E402

SHORT = {"people": 2000, "kills": 2, "committed": 1000, "rolled_back": 100, "seed": 1}
FULL = {"people": 10_000, "kills": 20, "committed": 12_000, "rolled_back": 1_200, "seed": None}


# One stage for the three of them.
on_stage = pytest.mark.xdist_group("story")


@pytest.fixture(scope="module", params=[
    pytest.param(SHORT, id="short"),
    pytest.param(FULL, id="soak", marks=[pytest.mark.soak, pytest.mark.timeout(5400)])])
def tier(request):
    return request.param


@pytest.fixture(scope="module")
def told(tier):
    """A stage, people, a write service and a notifier."""
    seed = int(os.environ.get("TARN_SEED") or tier["seed"] or random.SystemRandom().randrange(2**31))
    stage = Stage()
    try:
        stage.start()
        story = Story(stage, tier["people"], seed)
        yield story
        story.end()
        stage.assert_sane()
    finally:
        stage.end()


@pytest.fixture
def story(told, request):
    request.node.tarn_programs = told.stage.programs  # whose logs a failure shows
    print(f"{request.node.name}: TARN_SEED={told.seed}")
    return told


@on_stage
def test_who_comes_without_waiting_for_the_announcement_is_too_early(story):
    """The test below, with its crowd let loose by the commit itself: it can fail, and does."""
    report = story.spike(story.people[:len(story.people) // 2], waits=False)
    print(account(report))
    assert len(report.seen) == report.count("committed") == len(story.people) // 2
    assert any(seen.verdict == "absent" for seen in report.seen), "nobody was too early"
    assert {seen.verdict for seen in report.failures()} <= {"absent", "old-result"}


@on_stage
def test_who_waits_for_the_announcement_finds_the_new_result_and_nothing_older(story):
    """Everybody at once, each within a second of being told, whether or not the server keeps up: no 404, no older position,
    no older result, nothing incomplete. Half of them have an older result to be shown by mistake."""
    report = story.spike(story.people)
    print(account(report))
    assert not report.failures(), report.failures()[:10]
    assert {seen.person for seen in report.seen} == set(story.people) and len(report.seen) == len(story.people)
    assert report.count("rolled back") > 0 and report.held > 0
    assert sorted(heard.result_id for heard in report.heard) == sorted(
        change.result_id for change in report.changes if change.outcome == "committed")  # each once: nobody was killed
    due_us = {(heard.person, heard.result_id): heard.heard_us for heard in report.heard}
    assert len(due_us) == len(report.heard)
    assert busiest_second([seen.due_us for seen in report.seen]) > len(story.people) / 10
    assert not story.differences()


@on_stage
def test_every_committed_change_is_on_the_screens_exactly_once_whoever_is_killed(story, tier):
    """Relay, projector, broker and database, each by itself, at random, while writers write and people look."""
    report = story.chaos(tier["kills"], tier["committed"], tier["rolled_back"], timeout_s=1800 * PATIENCE)
    print(account(report))
    assert len(report.outages) == 4 * tier["kills"]
    assert report.count("committed") >= tier["committed"] and report.count("rolled back") >= tier["rolled_back"]
    assert not report.failures(), report.failures()[:10]
    assert len(report.seen) == len(report.heard) >= report.count("committed")
    differences = story.differences()
    assert not differences, f"{len(differences)} screens: {differences[:10]}"


def story_told(folder, *flags):
    """`make story` without make, as a process."""
    return Process([sys.executable, ROOT / "ops" / "dev" / "story", "--people", "300", "--kills", "0", "--seed", "1", "--out",
                    folder / "out", *flags], folder / "story.log", env={"TARN_FLAVOUR": FLAVOUR, "PYTHONUNBUFFERED": "1"},
                   cwd=ROOT, name="story")


def assert_nobody_is_left(process):
    """Whatever the story started has its folder's name in its command."""
    stage = re.search(r"logs in (\S+)\. ", process.log())[1].encode()

    def are_gone():
        left = []
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                left += [path.parent.name] if stage in path.read_bytes() else []
        assert not left, left
        return True

    wait_until(are_gone, "the end of everybody", 10)
    assert not pathlib.Path(stage.decode()).exists()


@pytest.mark.xdist_group("story told")
def test_the_story_is_told_in_words_and_as_a_picture(tmp_path):
    process = story_told(tmp_path)
    try:
        assert process.wait(120) == 0, process.log()
        assert re.search(r"2\. .*\n300 changes committed, \d+ rolled back;", process.log()), process.log()
        assert "all of them saw their new result" in process.log()
        assert "450 committed changes against 300 screens: each is there exactly once" in process.log()
        assert_nobody_is_left(process)
        page = (tmp_path / "out" / "index.html").read_text()
        assert page.count("<svg") == page.count("</svg>") == 2 and "http" not in page
        assert "announced 300" in page and "opened 300" in page
    finally:
        process.end()


@pytest.mark.xdist_group("story told")
def test_ctrl_c_ends_the_story_and_leaves_nobody_behind(tmp_path):
    process = story_told(tmp_path, "--kills", "5")
    try:
        wait_until(lambda: "3. " in process.log(), "the third act", 120, alive=[process])
        process.child.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, process.log()
        assert_nobody_is_left(process)
    finally:
        process.end()


SWALLOWS_AN_INTERRUPT = """
import signal, sys
sys.path.insert(0, sys.argv[1])
from story.interrupts import heard_interrupts

class Finalized:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

try:
    with heard_interrupts():
        Finalized()
        print("told once", flush=True)
        while True:
            signal.pause()
except KeyboardInterrupt:
    print("heard", signal.getitimer(signal.ITIMER_REAL), signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


def test_ctrl_c_that_a_finalizer_swallows_is_heard_all_the_same():
    done = subprocess.run([sys.executable, "-c", SWALLOWS_AN_INTERRUPT, ROOT / "ops" / "dev"], capture_output=True, text=True,
                          timeout=30 * PATIENCE)
    assert done.stdout == "told once\nheard (0.0, 0.0) True\n", done.stdout + done.stderr
    assert "Exception ignored in" in done.stderr, done.stderr  # or this test is of something else


def screen(*results):
    return {"resultId": results[-1][0], "results": len(results), "points": str(sum(value for _, value in results)),
            "history": [{"resultId": result_id, "value": value} for result_id, value in results]}


@pytest.mark.parametrize("shown, is_found", [
    (screen(("r1", 5), ("r2", 7)), False),
    (screen(("r1", 5)), True),                          # the last one is lost
    (screen(("r1", 5), ("r2", 7), ("r2", 7)), True),    # one came twice
    (screen(("r1", 5), ("r3", 1), ("r2", 7)), True),    # one that was rolled back
    (screen(("r2", 7), ("r1", 5)), True),               # in another order than they were committed
    ({**screen(("r1", 5), ("r2", 7)), "results": 3}, True),
    ({**screen(("r1", 5), ("r2", 7)), "points": "17"}, True),
    ({**screen(("r1", 5), ("r2", 7)), "resultId": "r1"}, True),
    (None, True)])
def test_the_ledger_finds_what_is_lost_doubled_reordered_or_was_never_committed(shown, is_found):
    """What the campaign above relies on."""
    truth = {"p1": [("r1", 5), ("r2", 7)]}
    assert bool(differences(truth, {"p1": shown, "p2": None})) == is_found
    assert differences(truth, {"p1": screen(("r1", 5), ("r2", 7)), "p2": screen(("r9", 1))})
