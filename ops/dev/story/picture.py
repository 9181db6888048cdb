"""The acts as one page without anything from elsewhere: what was committed, announced and opened over time, who was down
when, and how long each of the people waited."""

import html
import math

WIDTH, LEFT, RIGHT = 1000, 60, 130
CURVES_HEIGHT, LANE_HEIGHT, WAITS_HEIGHT, GAP = 180, 18, 160, 34
COMMITTED, ANNOUNCED, OPENED, FAILED = "#3b6ea5", "#d98e04", "#2e7d4f", "#c0392b"
SLOWEST_MS, FASTEST_MS = 10_000, 0.1

PAGE = """<!doctype html>
<meta charset="utf-8"><title>The story of Tarn</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1060px; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }}
pre {{ background: #f5f5f2; padding: 1em; overflow-x: auto; font-size: 13px; line-height: 1.45 }}
svg {{ width: 100%; height: auto; font: 12px system-ui, sans-serif }}
.axis {{ stroke: #bbb; fill: none }} .grid {{ stroke: #eee }} .label {{ fill: #666 }}
</style>
<h1>The story of Tarn</h1>
<p>A write service commits results; each is announced once its screen can be seen; whoever is told opens it within a second.
Curves count up: a screen opened before its result is announced would cross the orange line. Dots are people, by how long they
waited.</p>
{acts}
"""


def page(acts):
    """`acts`: [(title, account, acts.Report)]"""
    return PAGE.format(acts="\n".join(f"<h2>{html.escape(title)}</h2>\n{_chart(report)}\n<pre>{html.escape(account)}</pre>"
                                      for title, account, report in acts))


def _chart(report):
    parts = _Parts(report)
    victims = sorted({outage.victim for outage in report.outages})
    top = 10
    parts.curves(top)
    top += CURVES_HEIGHT + GAP
    for victim in victims:
        parts.lane(top, victim)
        top += LANE_HEIGHT
    top += GAP // 2 if victims else 0
    parts.waits(top)
    return parts.svg(top + WAITS_HEIGHT + GAP)


class _Parts:
    def __init__(self, report):
        self.report = report
        moments = [seen.due_us + seen.latency_us for seen in report.seen] + [outage.up_us for outage in report.outages]
        self.began_us = report.began_us
        self.ended_us = max([*moments, *(heard.heard_us for heard in report.heard), report.began_us + 1_000_000])
        self.shapes = []

    def svg(self, height):
        return f'<svg viewBox="0 0 {WIDTH} {height}" role="img">' + "".join(self.shapes) + "</svg>"

    def x(self, moment_us):
        share = (moment_us - self.began_us) / (self.ended_us - self.began_us)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def text(self, x, y, text, anchor="start", color=None):
        style = f' style="fill:{color}"' if color else ""
        self.shapes.append(f'<text class="label" x="{x}" y="{y}" text-anchor="{anchor}"{style}>{html.escape(text)}</text>')

    def seconds(self, top, height):
        total = (self.ended_us - self.began_us) / 1e6
        step = next((s for s in (0.2, 0.5, 1, 2, 5, 10, 30, 60) if total / s <= 14), 300)
        for number in range(int(total / step) + 1):
            x = self.x(self.began_us + number * step * 1e6)
            self.shapes.append(f'<path class="grid" d="M{x},{top}v{height}"/>')
            self.text(x, top + height + 14, f"{number * step:g} s", "middle")

    def curves(self, top):
        lines = [("committed", COMMITTED, [c.committed_us for c in self.report.changes if c.committed_us]),
                 ("announced", ANNOUNCED, [heard.heard_us for heard in self.report.heard]),
                 ("opened", OPENED, [seen.due_us for seen in self.report.seen])]
        most = max([len(moments) for _, _, moments in lines] + [1])
        self.seconds(top, CURVES_HEIGHT)
        self.shapes.append(f'<path class="axis" d="M{LEFT},{top}v{CURVES_HEIGHT}h{WIDTH - LEFT - RIGHT}"/>')
        self.text(LEFT - 6, top + 10, f"{most:,}", "end")
        self.text(LEFT - 6, top + CURVES_HEIGHT, "0", "end")
        for row, (name, color, moments) in enumerate(lines):
            self.shapes.append(f'<path d="{self._steps(sorted(moments), most, top)}" stroke="{color}" fill="none" stroke-width="2"/>')
            self.text(WIDTH - RIGHT + 10, top + 14 + 18 * row, f"{name} {len(moments):,}", color=color)

    def _steps(self, moments, most, top):
        """At most a few hundred points."""
        bottom, every = top + CURVES_HEIGHT, max(1, len(moments) // 300)
        points = [f"M{self.x(self.began_us)},{bottom}"]
        for count in range(0, len(moments), every):
            points.append(f"L{self.x(moments[count])},{bottom - CURVES_HEIGHT * (count + 1) / most:.1f}")
        if moments:
            points.append(f"L{self.x(moments[-1])},{bottom - CURVES_HEIGHT * len(moments) / most:.1f}")
        points.append(f"L{self.x(self.ended_us)},{bottom - CURVES_HEIGHT * len(moments) / most:.1f}")
        return "".join(points)

    def lane(self, top, victim):
        outages = [outage for outage in self.report.outages if outage.victim == victim]
        for outage in outages:
            x = self.x(outage.down_us)
            self.shapes.append(f'<rect x="{x}" y="{top}" width="{max(1, self.x(outage.up_us) - x):.1f}" '
                               f'height="{LANE_HEIGHT - 5}" fill="{FAILED}" opacity="0.65"/>')
        self.text(WIDTH - RIGHT + 10, top + 12, f"{victim} killed {len(outages)}×")

    def waits(self, top):
        self.seconds(top, WAITS_HEIGHT)
        for ms in (0.1, 1, 10, 100, 1000, 10000):
            self.shapes.append(f'<path class="grid" d="M{LEFT},{self._wait_y(top, ms)}H{WIDTH - RIGHT}"/>')
            self.text(LEFT - 6, self._wait_y(top, ms) + 4, f"{ms:g} ms" if ms < 1000 else f"{ms / 1000:g} s", "end")
        for name, color, is_ours in (("saw the new result", OPENED, True), ("404, old or failed", FAILED, False)):
            some = [seen for seen in self.report.seen if (seen.verdict == "new") == is_ours]
            dots = "".join(f"M{self.x(seen.due_us)},{self._wait_y(top, seen.latency_us / 1000)}h0" for seen in some)
            if dots:
                self.shapes.append(f'<path d="{dots}" stroke="{color}" stroke-width="2" stroke-linecap="round" opacity="0.5"/>')
            self.text(WIDTH - RIGHT + 10, top + (14 if is_ours else 46), f"{len(some):,}", color=color)
            self.text(WIDTH - RIGHT + 10, top + (28 if is_ours else 60), name, color=color)

    @staticmethod
    def _wait_y(top, ms):
        ms = min(max(ms, FASTEST_MS), SLOWEST_MS)
        share = math.log(ms / FASTEST_MS) / math.log(SLOWEST_MS / FASTEST_MS)
        return round(top + WAITS_HEIGHT * (1 - share), 1)
