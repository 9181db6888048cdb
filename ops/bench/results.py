"""What was measured: rows of figures in, one table out. A row is a ratio of two members that ran in pairs, or a value with
a limit; it knows what is aimed at, below what it isn't done, and whether its peer was itself."""

import dataclasses
import statistics

# What each peer did on the 2-core machine on which the aims were set. A peer far below it makes a ratio worth nothing.
EXPECTED_PER_SECOND = {
    "consume + decode": 570_000,
    "Kafka Streams, exactly-once v2": 35_000,
    "Kafka Streams, at-least-once, full store": 24_000,
    "nginx": 57_000,
    "Redis GET": 92_000,
    "MariaDB join": 12_900,
}
PEER_IS_ITSELF_FROM = 0.6

AIM, FLOOR, MISSED = "aim", "floor", "**missed**"


@dataclasses.dataclass
class Row:
    what: str
    values: list  # one of each run
    aim: float | None = None
    floor: float | None = None
    is_limit: bool = False  # less is better
    unit: str = ""
    digits: int = 2
    tarn: str = ""
    peer: str = ""
    flag: str = ""

    @property
    def median(self):
        return statistics.median(self.values)

    def verdict(self):
        if self.aim is None:
            return ""
        sign = -1 if self.is_limit else 1
        if sign * self.median >= sign * self.aim:
            return AIM
        return FLOOR if self.floor is not None and sign * self.median >= sign * self.floor else MISSED

    def target(self):
        if self.aim is None:
            return ""
        floor = "" if self.floor is None or self.floor == self.aim else f" ({number(self.floor)})"
        return f"{'≤' if self.is_limit else '≥'} {number(self.aim)}{self.unit}{floor}"

    def cells(self):
        spread = f"{min(self.values):,.{self.digits}f}–{max(self.values):,.{self.digits}f} ({len(self.values)})"
        spread = spread if len(self.values) > 1 else ""
        verdict = f"{self.verdict()}{'; ' if self.flag and self.verdict() else ''}{self.flag}"
        return [self.what, self.target(), f"{self.median:,.{self.digits}f}{self.unit}", spread, self.tarn, self.peer, verdict]


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def median_of(figures, key):
    known = [figure[key] for figure in figures if figure.get(key) is not None]
    return statistics.median(known) if known else None


def rate_and_cpu(figures):
    """"102,382/s, 11.0 µs": the medians of one member."""
    cpu = median_of(figures, "cpu_us")
    return f"{median_of(figures, 'per_second'):,.0f}/s" + (f", {cpu:.1f} µs" if cpu is not None else "")


class Results:
    HEAD = ["", "aim (floor)", "median", "spread (runs)", "Tarn", "the other", "verdict"]

    def __init__(self):
        self.sections = []  # (title, rows, notes)
        self.failures = []
        self.raw = {}

    def section(self, title):
        self.sections.append((title, [], []))

    def note(self, text):
        """A sentence under the section's table."""
        self.sections[-1][2].append(text)

    def add(self, row):
        self.sections[-1][1].append(row)
        return row

    def ratio(self, what, pairs, peer, aim=None, floor=None, key="per_second", digits=2):
        """`pairs`: [(Tarn's figures, the peer's figures)] of each run; how many times the peer's is Tarn's. For what
        should be small (CPU) it is the other way round: how many times Tarn's is the peer's."""
        is_cost = key != "per_second"
        values = [(b[key] / a[key] if is_cost else a[key] / b[key]) for a, b in pairs]
        expected = EXPECTED_PER_SECOND.get(peer)
        rate = median_of([b for _, b in pairs], "per_second")
        flag = ""
        if expected and rate < PEER_IS_ITSELF_FROM * expected:
            flag = f"peer slow: {rate / expected:.0%} of its {expected:,}/s"
        return self.add(Row(what, values, aim, floor, digits=digits, tarn=rate_and_cpu([a for a, _ in pairs]),
                            peer=rate_and_cpu([b for _, b in pairs]), flag=flag))

    def value(self, what, values, unit="", aim=None, floor=None, digits=1, tarn="", peer=""):
        """A figure that should be small, or (without an aim) is only told."""
        return self.add(Row(what, values, aim, floor, is_limit=True, unit=unit, digits=digits, tarn=tarn, peer=peer))

    def rate(self, what, figures, aim):
        """Rates of ours alone, and what is aimed at."""
        return self.add(Row(what, [figure["per_second"] for figure in figures], aim, unit="/s", digits=0,
                            tarn=rate_and_cpu(figures)))

    def missing(self, what, why):
        self.note(f"Not measured: {what} ({why}).")

    def failed(self, part, error):
        self.failures.append(part)
        self.section(f"The part {part} failed")
        self.note(f"`{str(error).splitlines()[0] if str(error) else type(error).__name__}`")

    def keep(self, name, figures):
        """Every run's figures, for --json."""
        self.raw.setdefault(name, []).append(figures)

    def markdown(self):
        parts = []
        for title, rows, notes in self.sections:
            parts.append(f"### {title}\n")
            if rows:
                lines = [self.HEAD, ["---"] * len(self.HEAD), *(row.cells() for row in rows)]
                parts.append("\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n")
            parts.extend(f"{note}\n" for note in notes)
        return "\n".join(parts)

    def as_json(self):
        return {"rows": [{**dataclasses.asdict(row), "section": title, "median": row.median, "verdict": row.verdict()}
                         for title, rows, _ in self.sections for row in rows],
                "notes": [note for _, _, notes in self.sections for note in notes], "runs": self.raw}

    def text(self):
        """The same table for a terminal."""
        rows = [[cell.replace("**", "") for cell in row.cells()] for _, rows, _ in self.sections for row in rows]
        if not rows:
            return "nothing was measured"
        heads = ["what", *self.HEAD[1:]]
        widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]

        def line(cells):
            return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip()

        lines = [line(heads)]
        for title, rows, notes in self.sections:
            if not rows and not notes:
                continue
            lines.append(f"\n{title}")
            lines.extend(line([cell.replace("**", "") for cell in row.cells()]) for row in rows)
            lines.extend(f"  {note}" for note in notes)
        return "\n".join(lines)
