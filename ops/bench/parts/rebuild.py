"""A store from empty: against consuming and decoding the same events and nothing else (with protobuf-c, as the aim has it,
and with our own decoder, which is faster), and against Kafka Streams."""

import difflib

import streams
from place import PROGRAMS, in_turns, run_json
from readers import Tarn

NAME = "rebuild"
TOPIC = "bench"
LARGE, DEFAULT = "4GiB", "1GiB"
GUARANTEE = "exactly_once_v2"


def run(place, results):
    options = place.options
    place.make_topic(TOPIC)
    place.produce(TOPIC, options.events, options.people)
    members = {
        "unpack": lambda run: place.undisturbed_rate(lambda: consume(place, "unpack")),
        "decode": lambda run: place.undisturbed_rate(lambda: consume(place, "decode")),
        "large": lambda run: place.undisturbed_rate(lambda: tarn(place, LARGE)),
        "default": lambda run: place.undisturbed_rate(lambda: tarn(place, DEFAULT)),
    }
    with_streams = options.has_peer("streams") and streams.is_possible()
    if with_streams:
        place.say("compiling the Kafka Streams program")
        streams.compile_it()
        members["streams"] = lambda run: streams.run(place, TOPIC, GUARANTEE, f"rebuild-{run}", options.events,
                                                     place.folder / "streams.dump" if run == 0 else None)
    figures = {name: [] for name in members}
    for run_number in place.runs():
        for name in in_turns(run_number, members):
            figures[name].append(members[name](run_number))
            results.keep(f"rebuild {name}", figures[name][-1])
            place.say_rate(name, figures[name][-1])

    results.section(f"Rebuild from empty: {options.events:,} events over {options.people:,} people")
    tell(results, figures)
    same_views(place, results, with_streams)
    place.tell_disturbed_rates(results)
    if not with_streams:
        results.missing("Kafka Streams", "it needs mvn and javac, and --peers with streams")
    place.remove(place.folder / "streams")


def tell(results, figures):
    def pairs(name, peer):
        return list(zip(figures[name], figures[peer]))

    results.ratio(f"rebuild, `--memory {LARGE}` / consume + decode alone", pairs("large", "unpack"), "consume + decode", 0.65,
                  0.5)
    results.ratio("rebuild, default memory / consume + decode alone", pairs("default", "unpack"), "consume + decode")
    results.ratio(f"rebuild, `--memory {LARGE}` / consume + decode with our own decoder", pairs("large", "decode"),
                  "consume + our own decoder")
    if "streams" in figures:
        results.ratio(f"rebuild, `--memory {LARGE}` / Kafka Streams, exactly-once v2", pairs("large", "streams"),
                      "Kafka Streams, exactly-once v2", 8, 6, digits=1)
        results.note(streams.closing_note(figures["streams"]))
    for name, memory, limit in (("large", LARGE, 4096), ("default", DEFAULT, 1024)):
        peaks = [figure["own_bytes"] / 2**20 for figure in figures[name]]
        results.value(f"peak of own memory at `--memory {memory}`", peaks, " MiB", limit, limit, digits=0)


def consume(place, mode):
    figures = run_json([PROGRAMS / "bench_consume", place.kafka.brokers, TOPIC, place.schema(), mode])
    return {**figures, "cpu_us": figures["cpu_us_per_record"]}


def tarn(place, memory):
    store = place.folder / f"rebuilt-{memory}"
    place.remove(store)
    projector = place.projector(store, TOPIC, flags=["--memory", memory])
    try:
        return place.run_until_caught_up(projector, place.options.events)
    finally:
        projector.stop(timeout_s=60)


def same_views(place, results, with_streams):
    """A fast wrong answer is no answer: both stores hold the same, and so does Kafka Streams' where it wrote some down."""
    large, default = (place.folder / f"rebuilt-{memory}" for memory in (LARGE, DEFAULT))
    digest = place.digest(large)
    if digest != place.digest(default):
        raise AssertionError("two rebuilds of the same events differ")
    if with_streams:
        tarn = Tarn(place.folder, place.options.people, store=large)
        try:
            compared = compare(place, tarn.query, streams.views_of(place.folder / "streams.dump"))
        finally:
            tarn.end()
        results.note(f"Both rebuilds have the digest `{digest.split()[-1][:12]}…`; {compared:,} views of Kafka Streams, every"
                     " hundredth, are the same messages as Tarn's.")
    for store in (large, default):
        place.remove(store)


def compare(place, query, theirs):
    """How many of their views were compared with ours: all that Tarn shows, which are those with a report."""
    new = place.message_maker("genetics.screens.GeneticResult")
    compared = 0
    for key, their_bytes in theirs.items():
        their_view, our_view = new(), new()
        their_view.ParseFromString(their_bytes)
        answer = query.get(f"/v1/genetic-result/{key}", headers={"Accept": "application/x-protobuf"})
        if answer.status_code == 404:
            if their_view.report_id:
                raise AssertionError(f"Tarn lacks {key}")
            continue
        our_view.ParseFromString(answer.content)
        if our_view != their_view:
            difference = difflib.unified_diff(str(our_view).splitlines(), str(their_view).splitlines(), "Tarn", "Kafka Streams",
                                              lineterm="")
            raise AssertionError("\n".join([f"{key} differs", *difference]))
        compared += 1
    if compared == 0:
        raise AssertionError("there was no view to compare")
    return compared
