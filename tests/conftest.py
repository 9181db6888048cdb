"""What all Python suites share: the seed, and the counts that the closing line of `make test` adds up."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "system"))


def pytest_addoption(parser):
    parser.addoption("--counts", metavar="FILE", help='write "passed failed skipped" into FILE')


def pytest_report_header():
    return f"TARN_SEED={os.environ.get('TARN_SEED', '1 in short campaigns, by chance in others, which print it')}"


def pytest_terminal_summary(terminalreporter, config):
    path = config.getoption("--counts")
    if path and not hasattr(config, "workerinput"):
        counts = {name: len(terminalreporter.stats.get(name, []))
                  for name in ("passed", "failed", "error", "skipped", "xfailed", "xpassed")}
        pathlib.Path(path).write_text(
            f"{counts['passed'] + counts['xfailed']} {counts['failed'] + counts['error'] + counts['xpassed']} "
            f"{counts['skipped']}\n")
