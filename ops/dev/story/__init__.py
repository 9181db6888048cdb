"""A write service, a crowd, and everything between them, killed at random: what `make story` shows and
tests/system/test_story.py demands."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
FOLDER = pathlib.Path(__file__).resolve().parent
if str(ROOT / "tests" / "system") not in sys.path:
    sys.path.insert(0, str(ROOT / "tests" / "system"))  # the harness: servers that own a folder and end with us
