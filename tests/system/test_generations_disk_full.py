"""A disk that fills in the middle of a rebuild: what is served stays as it is and answers, the rebuild goes on with room."""

import random

import pytest
from survive_support import PacedPublisher, Readers
from test_generations import digest, folder, generations, rebuild, served, wait_all_caught_up, wait_built
from test_survive_disk_full import SCREENS, SmallDisk
from tarn.waiting import wait_until
from tarn.workload import topics_for_examples

BACKLOG = 40000


@pytest.fixture
def make_disk(tmp_path):
    disks = []

    def make(total_mib, free_mib):
        disks.append(SmallDisk(tmp_path / "small", total_mib, free_mib))
        return disks[-1]

    yield make
    for disk in disks:
        disk.unmount()


@pytest.fixture
def begin(kafka, new_topic, publisher, programs):
    """A projector that has caught up, and a rebuild that has handled a part of it; what is published, and readers."""
    def begin(disk, flags):
        chance = random.Random(1)
        topics = topics_for_examples(new_topic, partitions=2)
        paced = PacedPublisher(publisher, topics, chance, distinct=12000, people=3000)
        paced.burst(BACKLOG)
        publisher.flush()
        projector = programs.projector(disk.path / "store", kafka, topics, flags=["--memory", "64MiB", *flags])
        projector.wait_caught_up()
        query = programs.query(projector.store)
        first, second = served(projector), rebuild(projector, rate=BACKLOG // 10)
        wait_until(lambda: handled(projector, second) > BACKLOG // 10, "a part of it", alive=[projector.process])
        readers = Readers(query, [f"/v1/{view}/u{user}" for view in SCREENS for user in range(0, 3000, 31)], chance)
        return projector, first, second, paced, readers
    return begin


def handled(projector, name):
    return projector.metrics().sum("tarn_projector_position", generation=name)


def is_stalled(projector):
    return projector.metrics().sum("tarn_projector_stalled") == 1


def test_a_disk_that_is_full_to_the_last_page_stops_a_rebuild_and_harms_nothing(make_disk, begin):
    """--disk-reserve 0: nothing is kept for those that are served."""
    disk = make_disk(512, 400)
    projector, first, second, paced, readers = begin(disk, ["--disk-reserve", "0"])
    with readers:
        before = digest(projector, first)
        disk.fill_up()
        wait_until(lambda: is_stalled(projector), "the stall", 60, alive=[projector.process])
        wait_until(lambda: "space" in (generations(projector)[second]["problem"] or ""), "a word in status", 10,
                   alive=[projector.process])
        assert generations(projector)[second]["state"] == "building"
        assert digest(projector, first) == before
        readers.wait_answers(20)
        projector.kill()  # nor does a start on the full disk
        projector.start(wait_ready=False)
        readers.wait_answers(20)
        assert digest(projector, first) == before
        paced.burst(3000)
        paced.publisher.flush()
        disk.make_room(200)
        wait_built(projector, second)
        wait_all_caught_up(projector, [first, second])
        wait_until(lambda: not is_stalled(projector), "the metric", alive=[projector.process])
        readers.wait_answers(20)
    assert digest(projector, first) == digest(projector, second)


def test_below_the_default_reserve_a_rebuild_pauses_and_what_is_served_goes_on(make_disk, begin):
    disk = make_disk(1600, 1500)
    projector, first, second, paced, readers = begin(disk, [])
    with readers:
        disk.load(1600 - 300)
        wait_until(lambda: "--disk-reserve" in (generations(projector)[second]["problem"] or ""), "the pause",
                   alive=[projector.process])
        paced.burst(3000)
        paced.publisher.flush()
        wait_all_caught_up(projector, [first])
        stood = handled(projector, second)
        readers.wait_answers(20)
        assert handled(projector, second) == stood < paced.published
        assert (folder(projector, second) / "building").exists() and not is_stalled(projector)
        disk.make_room(1200)
        wait_built(projector, second)
        wait_all_caught_up(projector, [first, second])
    assert digest(projector, first) == digest(projector, second)
