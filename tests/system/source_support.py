"""What the tests of the source share: two topics of which one can come to harm, and positions as /metrics tells them."""

import json

from tarn.programs import run_command
from tarn.waiting import wait_until

STREAMS = ["balance", "card", "consultation", "coverage", "credit", "genetics", "identity", "inquiry", "institution",
           "lender", "loan", "rate", "scoring"]


def two_topics(lender, others):
    """The stream of lenders in a topic of its own, all others in another."""
    return {stream: lender if stream == "lender" else others for stream in STREAMS}


def publish_lenders(publisher, topic, numbers, name="Bank", **options):
    for number in numbers:
        publisher.publish(topic, "lender.v1.LenderChanged", {"lenderId": f"l{number}", "name": f"{name} {number}"},
                          key=f"l{number}", **options)
    publisher.flush()


def position(projector, topic, partition=0):
    return projector.metrics().sum("tarn_projector_position", topic=topic, partition=str(partition))


def is_stopped(projector, topic, partition=0):
    return projector.metrics().sum("tarn_projector_partition_stopped", topic=topic, partition=str(partition)) == 1


def wait_position(projector, topic, offset, partition=0, timeout_s=30):
    def has_moved():
        at = position(projector, topic, partition)
        assert at == offset, f"{topic}/{partition} stands at {at}"
        return True

    wait_until(has_moved, f"position {offset} of {topic}/{partition}", timeout_s, alive=[projector.process])


def wait_log(projector, text, timeout_s=30):
    wait_until(lambda: text in projector.log(), f"{text!r} in the projector's log", timeout_s)


def lender_name(projector, number):
    """From the store, without a server; None when there is no such view."""
    done = run_command("get", "lenders", f"l{number}", "--json", "--store", projector.store)
    assert done.status in (0, 2), done
    return json.loads(done.out)["view"]["name"] if done.status == 0 else None
