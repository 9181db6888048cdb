"""What system tests stand on: a real Kafka, the two programs, events as JSON, and waiting for conditions."""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[3]
FLAVOUR = os.environ.get("TARN_FLAVOUR", "release")
BUILD = ROOT / "build" / FLAVOUR
EXAMPLES = ROOT / "build" / "examples.binpb"
EXAMPLE_FOLDER = ROOT / "schema" / "examples"

# Sanitizers and valgrind make everything slower: every time limit is multiplied by this.
PATIENCE = {"release": 1, "coverage": 3, "asan": 4, "tsan": 8}.get(FLAVOUR, 4)
