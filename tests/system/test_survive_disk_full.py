"""A disk that fills: the projector stands still at its last commit and says so, answers go on, room brings it back."""

import os
import subprocess

import pytest
from survive_support import PacedPublisher, Readers, chance, tiers  # noqa: F401 (a fixture)
from tarn.waiting import wait_until
from tarn.workload import topics_for_examples

MIB = 1 << 20
SCREENS = ("monthly-spending", "unified-balance", "card-recommendation", "genetic-result", "credit-history")


class SmallDisk:
    """A file system in memory, with ballast that can be thrown off."""

    def __init__(self, path, total_mib, free_mib):
        self.path = path
        self.ballast = path / "ballast"
        path.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={total_mib}m", "tarn-test", path],
                              capture_output=True, text=True)
        assert done.returncode == 0, \
            f"this test mounts a tmpfs, for which it must be root, with CAP_SYS_ADMIN in a container: {done.stderr}"
        self.load(total_mib - free_mib)

    def load(self, mib):
        with open(self.ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, mib * MIB)

    def fill_up(self):
        """Takes what is left, to the last page."""
        with open(self.ballast, "ab") as file:
            try:
                while True:
                    os.write(file.fileno(), bytes(4096))
            except OSError:
                pass

    def make_room(self, mib):
        """mib less of ballast."""
        os.truncate(self.ballast, max(0, self.ballast.stat().st_size - mib * MIB))

    def unmount(self):
        subprocess.run(["umount", "-l", self.path], check=False)


@pytest.fixture
def disk(tmp_path):
    disk = SmallDisk(tmp_path / "small", 256, 6)
    yield disk
    disk.unmount()


def positions(projector):
    return {(p["topic"], p["partition"]): p["position"] for p in projector.status()["partitions"]}


def is_caught_up(projector):
    ends = projector.kafka.ends(projector.topic_names())
    return all(positions(projector).get(name, -1) + 1 >= end for name, end in ends.items())


def is_stalled(projector):
    return projector.metrics().sum("tarn_projector_stalled") == 1


@tiers(short={"rounds": 2, "stalls": 1, "burst": 15000},
       soak={"rounds": 12, "stalls": 6, "burst": 40000, "fixed_seed": False})
def test_a_full_disk_stops_the_projector_at_its_last_commit_and_nothing_else(tier, chance, disk, kafka, new_topic,
                                                                            publisher, programs, tmp_path):
    topics = topics_for_examples(new_topic, partitions=2)
    paced = PacedPublisher(publisher, topics, chance, distinct=12000, people=3000)
    paced.burst(3000)
    publisher.flush()
    projector = programs.projector(disk.path / "store", kafka, topics)
    query = programs.query(projector.store)
    paths = [f"/v1/{view}/u{user}" for view in SCREENS for user in range(0, 3000, 31)]
    stalls = 0
    with Readers(query, paths, chance) as readers:
        for number in range(tier["rounds"]):
            disk.fill_up()
            paced.burst(tier["burst"])
            publisher.flush()
            wait_until(lambda: is_stalled(projector) or is_caught_up(projector), "the stall", 60,
                       alive=[projector.process])
            if not is_stalled(projector):
                continue  # there were free pages enough in the store's own file
            stalls += 1
            wait_until(lambda: "space" in (projector.status()["problem"] or ""), "a word in status", 10,
                       alive=[projector.process])
            stood, digests = positions(projector), projector.digests()
            # One that starts while the disk is full, with more readers than a page of LMDB's lock table holds.
            again = programs.query(projector.store, name="newcomer", flags=["--threads", "150"])
            assert again.get("/v1/lenders/nobody").status_code == 404
            again.stop()
            readers.wait_answers(20)
            assert (positions(projector), projector.digests()) == (stood, digests)
            if number % 2 == 0:
                projector.kill()
                assert (positions(projector), projector.digests()) == (stood, digests)
                projector.start(wait_ready=False)  # on the full disk; what it commits next may be small enough
                wait_until(lambda: is_stalled(projector) or is_caught_up(projector), "its standing still again", 60,
                           alive=[projector.process])
                readers.wait_answers(20)
            print(f"round {number + 1}: stood at {sum(p + 1 for p in stood.values())} of {paced.published}")
            disk.make_room(20)
            projector.wait_caught_up()
            wait_until(lambda: not is_stalled(projector), "the metric", alive=[projector.process])
            readers.check()
    print(f"answers: {readers.answers}, the slowest after {readers.slowest_s * 1000:.0f} ms")
    assert stalls >= tier["stalls"]
    wait_until(lambda: "commits go on" in projector.log(), "a word in the log", alive=[projector.process])
    digests = projector.digests()
    projector.stop()
    fresh = programs.projector(tmp_path / "fresh", kafka, topics, name="fresh").wait_caught_up()
    assert fresh.digests() == digests


@tiers(short={"events": 10000}, soak={"events": 50000})
def test_a_stop_on_a_full_disk_is_a_stop(tier, chance, disk, kafka, new_topic, publisher, programs):
    topics = topics_for_examples(new_topic)
    paced = PacedPublisher(publisher, topics, chance, distinct=3000, people=3000)
    paced.burst(100)
    publisher.flush()
    projector = programs.projector(disk.path / "store", kafka, topics)
    disk.fill_up()
    paced.burst(tier["events"])
    publisher.flush()
    wait_until(lambda: is_stalled(projector), "the stall", 60, alive=[projector.process])
    assert projector.stop() < 2
    disk.make_room(50)
    projector.start().wait_caught_up()
