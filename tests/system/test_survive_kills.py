"""kill -9 at random moments, live and far behind: nothing is lost, nothing counts twice, and answers go on."""

import time

from survive_support import PacedPublisher, Readers, chance, tiers  # noqa: F401 (a fixture)
from tarn.waiting import wait_until
from tarn.workload import topics_for_examples

RATE = 3000  # events a second while live
LEAST_RATE = 2000
BACKLOG = 100000  # so far behind, the projector keeps what it has done in its cache, and commits a range at a time
SCREENS = ("monthly-spending", "unified-balance", "card-recommendation", "genetic-result", "credit-history")


def committed(projector):
    """The sum of all positions in the store: records that no replay would need."""
    return sum(partition["position"] + 1 for partition in projector.status()["partitions"])


def handled(projector):
    return projector.metrics().sum("tarn_projector_records_total")


class Life:
    """From a start of the projector to its kill: how many records it took, how fast, and how many of those the store
    had not."""

    def __init__(self, projector):
        self.projector = projector
        self.before = committed(projector)
        projector.start(wait_ready=False)
        self.first = wait_until(lambda: handled(projector), "the first records", alive=[projector.process])
        self.began = time.monotonic()

    def kill(self):
        """Returns records a second and the number of records that the kill took back."""
        last, now = handled(self.projector), time.monotonic()
        self.projector.kill()
        self.after = committed(self.projector)
        self.offset = self.before + int(last)
        return (last - self.first) / (now - self.began), self.offset - self.after

    def wait_handled(self, count):
        wait_until(lambda: handled(self.projector) >= count, f"{count} records", 60, alive=[self.projector.process],
                   poll_s=0.005)


@tiers(short={"live": 3, "behind": 3, "uncommitted": 2},
       soak={"live": 25, "behind": 25, "uncommitted": 10, "fixed_seed": False})
def test_kills_at_any_moment_leave_the_store_as_if_none_had_been(tier, chance, kafka, new_topic, publisher, programs,
                                                                 tmp_path):
    topics = topics_for_examples(new_topic, partitions=2)
    paced = PacedPublisher(publisher, topics, chance)
    paced.burst(2000)
    publisher.flush()
    projector = programs.projector(tmp_path / "killed", kafka, topics)
    projector.wait_caught_up()
    query = programs.query(projector.store)
    uncommitted, kills, slow = 0, 0, 0

    def kill(life, kind):
        """Counts it, unless a busy machine was slower just then: then another one is made."""
        nonlocal uncommitted, kills, slow
        rate, lost = life.kill()
        if rate < LEAST_RATE:
            slow += 1
            print(f"a kill ({kind}) at only {rate:.0f} records/s doesn't count")
            assert slow <= 3 + tier["live"] + tier["behind"], f"{slow} kills at less than {LEAST_RATE} records a second"
            return
        kills += 1
        uncommitted += lost > 0
        print(f"kill {kills} ({kind}): at offset {life.offset} (summed), {rate:.0f} records/s, the store stood at "
              f"{life.after}: {max(lost, 0)} records to be read again")
        query.assert_alive()

    paths = [f"/v1/{view}/u{user}" for view in SCREENS for user in range(0, 400, 7)]
    with Readers(query, paths, chance) as readers:
        projector.kill()
        while kills < tier["behind"] or uncommitted < tier["uncommitted"]:
            assert kills < 3 * tier["behind"], f"only {uncommitted} of {kills} kills had an uncommitted batch behind"
            missing = BACKLOG - (paced.published - committed(projector))
            if missing > 0:
                paced.burst(missing)
                publisher.flush()
            life = Life(projector)
            # A start knows of no more records than the last life did, until the first of each partition have come: so far
            # it takes itself for live, and commits at once.
            life.wait_handled(life.first + chance.randrange(20000, 45000))
            kill(life, "behind")
        projector.start(wait_ready=False)
        projector.wait_caught_up()
        projector.kill()
        paced.start(RATE)
        behind = kills
        while kills < behind + tier["live"]:
            life = Life(projector)
            time.sleep(chance.uniform(0.5, 1.5))
            kill(life, "live")
        projector.start(wait_ready=False)
        paced.stop()
        projector.wait_caught_up()
    print(f"{paced.published} events, {kills} kills (and {slow} at a rate that doesn't count), {uncommitted} of them with an "
          f"uncommitted batch behind; answers: {readers.answers}, the slowest after {readers.slowest_s * 1000:.0f} ms")

    digests = projector.digests()
    projector.stop()
    for name, flags in (("uninterrupted", []), ("small", ["--memory", "64MiB"])):
        other = programs.projector(tmp_path / name, kafka, topics, name=name, flags=flags)
        other.wait_caught_up()
        assert other.digests() == digests, name
        other.stop()
