"""What a projector that was away has missed, into a store that holds everybody: the pages of every commit synced; and how
soon a query server answers from such a store."""

import socket
import time

import streams
from place import BUILD, in_turns

from tarn.process import Process, free_port

NAME = "catch-up"
APPLICATION = "full"
GUARANTEE = "at_least_once"


def run(place, results):
    options = place.options
    projector = place.full_store()
    topic = projector.topics
    members = {"tarn": lambda: caught_up(place, projector)}
    with_streams = options.has_peer("streams") and streams.is_possible()
    if with_streams:
        streams.compile_it()
        place.say("filling the store of Kafka Streams")
        place.say_rate("streams, filling", streams.run(place, topic, GUARANTEE, APPLICATION, options.full))
        members["streams"] = lambda: streams.run(place, topic, GUARANTEE, APPLICATION, options.missed)
    figures = {name: [] for name in members}
    projector.stop(timeout_s=60)
    for run_number in place.runs():
        place.produce(topic, options.missed, options.full, seed=100 + run_number)
        for name in in_turns(run_number, members):
            figures[name].append(members[name]())
            results.keep(f"catch-up {name}", figures[name][-1])
            place.say_rate(name, figures[name][-1])

    results.section(f"Catch-up of {options.missed:,} events on a full store of {options.full:,} views, the pages of every commit"
                    " synced")
    if with_streams:
        results.ratio("catch-up / Kafka Streams, at-least-once, on its full store", list(zip(figures["tarn"], figures["streams"])),
                      "Kafka Streams, at-least-once, full store", 6, 4, digits=1)
        results.note(streams.closing_note(figures["streams"]))
    else:
        results.missing("Kafka Streams", "it needs mvn and javac, and --peers with streams")
        results.value("catch-up, µs of CPU an event", [figure["cpu_us"] for figure in figures["tarn"]], " µs")
    peaks = [figure["own_bytes"] / 2**20 for figure in figures["tarn"]]
    results.value("peak of own memory at the default `--memory 1GiB`", peaks, " MiB", 1024, 1024, digits=0)
    starts = [first_answer_ms(place, projector.store) for _ in range(options.runs)]
    results.value("tarn-query, from its start to the first answer from the full store", starts, " ms", 100, 100, digits=0)
    place.remove(place.folder / "streams")


def caught_up(place, projector):
    try:
        return place.run_until_caught_up(projector, place.options.missed)
    finally:
        projector.stop(timeout_s=60)


def first_answer_ms(place, store):
    """From the exec of the program to the last byte of an answer; the store's pages are as they were left."""
    port, admin_port = free_port(), free_port()
    began = time.monotonic()
    process = Process([BUILD / "tarn-query", "--store", store, "--listen", f"127.0.0.1:{port}", "--admin-listen",
                       f"127.0.0.1:{admin_port}", "--log-level", "warn"], place.folder / "first-answer.log")
    try:
        while time.monotonic() < began + 30:
            process.assert_alive()
            if has_answered(port):
                return (time.monotonic() - began) * 1e3
            time.sleep(0.001)
        raise AssertionError("no answer within 30 s")
    finally:
        process.end()


def has_answered(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET /v1/genetic-result/user-00000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b""
            while part := connection.recv(65536):
                answer += part
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 200")
