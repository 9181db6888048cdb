"""A report in words: what happened, in figures."""

import collections

from .crowd import busiest_second, percentile

VERDICTS = {"absent": "got a 404", "old-position": "an older position", "old-result": "an older result",
            "incomplete": "an incomplete screen", "refused": "another status", "broken": "no answer"}


def account(report):
    lines = [_written(report)]
    if report.outages:
        lines.append(_outages(report))
    if report.heard:
        lines.append(_announced(report))
    lines.append(_opened(report))
    lines.append(_failed(report))
    return "\n".join(lines)


def _written(report):
    seconds = (report.ended_us - report.began_us) / 1e6
    text = f"{report.count('committed'):,} changes committed, {report.count('rolled back'):,} rolled back"
    if report.lost and report.outages:
        text += f", {report.count('lost'):,} lost with {report.lost} connections"
    return text + f"; {report.held} transactions held open past a round of the relay; {seconds:.1f} s in all"


def _outages(report):
    counts, longest_s = collections.Counter(), collections.Counter()
    for outage in report.outages:
        counts[outage.victim] += 1
        longest_s[outage.victim] = max(longest_s[outage.victim], (outage.up_us - outage.down_us) / 1e6)
    return ("killed and started again: "
            + ", ".join(f"{name} {count} times (away up to {longest_s[name]:.1f} s)" for name, count in sorted(counts.items()))
            + f"; the relay published {report.repeated_records} events again")


def _announced(report):
    repeats = sum(heard.repeat > 0 for heard in report.heard)
    return (f"{len(report.heard) - repeats:,} announcements, {repeats} of them repeated; from commit to announcement "
            + _times(report.announcement_delays_ms()))


def _opened(report):
    busiest = busiest_second([seen.due_us for seen in report.seen])
    people = len({seen.person for seen in report.seen})
    return (f"{len(report.seen):,} screens opened by {people:,} people, up to {busiest:,} in one second; answered "
            + _times(report.latencies_ms()) + " after the planned moment")


def _times(values_ms):
    if not values_ms:
        return "never"
    return " ".join(f"{name} {_time(value)}" for name, value in (
        ("p50", percentile(values_ms, 0.5)), ("p99", percentile(values_ms, 0.99)), ("max", values_ms[-1])))


def _time(ms):
    return f"{ms:.1f} ms" if ms < 1000 else f"{ms / 1000:.2f} s"


def _failed(report):
    counts = collections.Counter(seen.verdict for seen in report.failures())
    if not counts:
        return "all of them saw their new result: no 404, no older position, no older result, nothing failed"
    return f"{sum(counts.values()):,} didn't see it: " + ", ".join(f"{n:,} {VERDICTS[verdict]}" for verdict, n in counts.items())
