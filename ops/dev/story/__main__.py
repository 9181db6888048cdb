"""The story, told: `make story`, or `build/venv/bin/python ops/dev/story [--people N] [--kills N] [--seed N]`."""

import argparse
import pathlib
import random
import sys
import time

if __package__ in (None, ""):  # called by its path
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
    import story  # noqa: F401
    __package__ = "story"

from . import ROOT
from .account import account
from .acts import Story
from .interrupts import heard_interrupts
from .picture import page
from .stage import Stage


def arguments():
    parser = argparse.ArgumentParser(prog="story", description=__doc__)
    parser.add_argument("--people", type=int, default=10_000, help="how many open their screen (10000)")
    parser.add_argument("--kills", type=int, default=3, help="of each of relay, projector, broker, database (3)")
    parser.add_argument("--changes", type=int, default=2_000, help="at least so many committed during the kills (2000)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31), help="repeats a story's choices")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build" / "story", help="where the page goes (build/story)")
    return parser.parse_args()


def say(text=""):
    print(text, flush=True)


def tell(told, title, report):
    text = account(report)
    say(text + "\n")
    told.append((title, text, report))
    return report


def run(options, stage, told):
    """Whether everything was as it should be."""
    began = time.monotonic()
    stage.start()
    story = Story(stage, options.people, options.seed)
    say(f"MariaDB, Apache Kafka {stage.kafka.version}, relay, projector and query server are up after "
        f"{time.monotonic() - began:.1f} s, their logs in {stage.folder}. {options.people:,} people, seed {options.seed}.\n")
    title = "1. Everybody comes the moment the write service has committed"
    say(title)
    hasty = tell(told, title, story.spike(story.people[:options.people // 2], waits=False))
    title = "2. Everybody comes within a second of being told"
    say(title)
    patient = tell(told, title, story.spike(story.people))
    reports = [patient]
    if options.kills > 0:
        title = "3. The same, while relay, projector, broker and database are killed at random"
        say(title)
        reports.append(tell(told, title, story.chaos(options.kills, options.changes, options.changes // 10, 1800)))
    differences = story.differences()
    story.end()
    changes = sum(report.count("committed") for report in [hasty, *reports])
    say(f"In the end: {changes:,} committed changes against {options.people:,} screens: "
        + ("each is there exactly once, and nothing else." if not differences else f"{len(differences)} screens differ:"))
    for line in differences[:20]:
        say(f"  {line}")
    return not differences and not any(report.failures() for report in reports)


def main():
    options = arguments()
    stage, told = Stage(), []
    try:
        with heard_interrupts():
            is_well = run(options, stage, told)
    except KeyboardInterrupt:
        say("\nEnded.")
        return 0
    finally:
        stage.end()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "index.html"
    path.write_text(page(told))
    say(f"The picture: {path}")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
