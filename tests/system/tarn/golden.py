"""The golden tests of the example domains: schema/examples/<domain>/golden/{events.jsonl,expected.json}.

events.jsonl: records in the order in which they are published. {"type", "key", "event"}, and where they matter "at" (the
record's time), "stream" (where it isn't the package's: insurers write into the topic of coverage), "raw" (bytes instead
of an event, base64); an "event" that is null is a null value.

expected.json, written by hand from what the events mean: "screens" (path -> JSON), "same" (path -> another path that
answers the same), "absent" (paths that answer 404), "incomplete" (paths whose answers say that events are parked; no
other path's answer does), "parked" (what `parked list` shows)."""

import json

from . import EXAMPLE_FOLDER
from .events import read_jsonl

DEFAULT_TIME = "2026-11-01T00:00:00Z"


class Golden:
    def __init__(self, folder):
        self.domain = folder.parent.name
        self.records = read_jsonl(folder / "events.jsonl")
        for record in self.records:
            record.setdefault("stream", stream_of(record.get("type")))
            record.setdefault("at", DEFAULT_TIME)
        expected = json.loads((folder / "expected.json").read_text())
        self.screens = expected["screens"]
        self.same = expected.get("same", {})
        self.absent = expected["absent"]
        self.incomplete = expected["incomplete"]
        self.parked = expected["parked"]


def stream_of(event_type):
    """genetics.v1.AnalysisCompleted -> genetics"""
    return None if event_type is None else event_type.split(".")[0]


def all_golden():
    return [Golden(folder) for folder in sorted(EXAMPLE_FOLDER.glob("*/golden"))]


# The streams of all example screens, each with a topic of its own.
STREAMS = ("balance", "card", "consultation", "coverage", "credit", "genetics", "identity", "inquiry", "institution",
           "lender", "loan", "rate", "scoring")
