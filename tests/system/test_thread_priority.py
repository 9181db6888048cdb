"""How the kernel shares the processors: what people wait for has short turns, and a rebuild takes what others leave."""

import ctypes
import os
import struct

import pytest

from tarn.waiting import wait_until
from tarn.workload import events, topics_for_examples

SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}.get(os.uname().machine)
ATTRIBUTES = struct.Struct("<IIQiIQQQII")
pytestmark = pytest.mark.skipif(SCHED_GETATTR is None, reason="the system call's number isn't known here")
_libc = ctypes.CDLL(None, use_errno=True)


def nice_and_turn_ns(thread):
    buffer = ctypes.create_string_buffer(ATTRIBUTES.size)
    if _libc.syscall(SCHED_GETATTR, thread, buffer, ATTRIBUTES.size, 0) != 0:
        raise OSError(ctypes.get_errno(), "sched_getattr")
    _, _, _, nice, _, turn_ns, *_ = ATTRIBUTES.unpack(buffer.raw)
    return nice, turn_ns


def threads_of(program):
    """{(nice, turn in ns): how many}"""
    found = {}
    for task in os.listdir(f"/proc/{program.process.pid}/task"):
        try:
            seen = nice_and_turn_ns(int(task))
        except OSError:
            continue  # it has ended
        found[seen] = found.get(seen, 0) + 1
    return found


def test_live_threads_have_short_turns_and_those_of_a_rebuild_the_least_share(kafka, new_topic, publisher, programs, store):
    nice, usual_ns = nice_and_turn_ns(0)
    topics = topics_for_examples(new_topic)
    for stream, event_type, key, fields in events(500, seed=3):
        publisher.publish(topics[stream], event_type, fields, key=key, at=1767225600000)
    publisher.flush()
    projector = programs.projector(store, kafka, topics)
    query = programs.query(store)
    projector.wait_caught_up()

    short_ns = min(usual_ns, 100_000)  # 0: a kernel older than 6.12
    assert set(threads_of(projector)) == set(threads_of(query)) == {(nice, short_ns)}
    projector.cli("rebuild", "--rate", "1", "--json")
    wait_until(lambda: threads_of(projector).get((19, usual_ns), 0) >= 3, "a rebuild's threads", alive=[projector.process])
    assert set(threads_of(projector)) == {(nice, short_ns), (19, usual_ns)}
