"""Prometheus' text format, as far as tests look at it."""

import re

_LINE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Metrics:
    def __init__(self, text):
        self.samples = []
        for line in text.splitlines():
            if line and not line.startswith("#"):
                match = _LINE.match(line)
                assert match, f"not a line of Prometheus' format: {line!r}"
                self.samples.append((match[1], dict(_LABEL.findall(match[2] or "")), float(match[3])))

    def sum(self, name, **labels):
        """The sum over all samples that have these labels; fails when there is none."""
        found = [value for sample, has, value in self.samples
                 if sample == name and all(has.get(key) == wanted for key, wanted in labels.items())]
        assert found, f"no metric {name} with {labels}; there are: {sorted({s[0] for s in self.samples})}"
        return sum(found)

    def names(self):
        return {sample for sample, _, _ in self.samples}
