#!/usr/bin/env python3
"""The README's tables of settings, made from --help: `settings.py write` puts them in, `settings.py check` fails when a
flag is missing there, or says something else."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
BEGIN, END = "<!-- settings: made by ops/dev/settings.py write -->", "<!-- end of settings -->"
PROGRAMS = [["tarn-projector", "run"], ["tarn-projector", "rebuild"], ["tarn-projector", "compare"],
            ["tarn-projector", "promote"], ["tarn-projector", "copy"], ["tarn-projector", "parked"],
            ["tarn-projector", "relay"], ["tarn-projector", "verify"], ["tarn-query"]]
OPTION = re.compile(r"^  --([a-z0-9-]+)(?: (\S.*))?$")


def options_of(command):
    """[(name, placeholder, text)] as --help prints them."""
    text = subprocess.run([ROOT / "build" / command[0], *command[1:], "--help"], capture_output=True, text=True,
                          check=True).stdout
    options = []
    for line in text.splitlines():
        match = OPTION.match(line)
        if match:
            options.append([match[1], match[2] or "", []])
        elif options and line.startswith("        "):
            options[-1][2].append(line.strip())
    assert options, f"{command} --help shows no options"
    return [(name, placeholder, " ".join(lines)) for name, placeholder, lines in options]


def escape(text):
    return text.replace("|", "\\|").replace("<", "&lt;")


def tables():
    parts = [BEGIN]
    shared = {}
    for command in PROGRAMS:
        parts += [f"\n`{' '.join(command)}`\n", "| flag | meaning |", "|---|---|"]
        for name, placeholder, text in options_of(command):
            if shared.setdefault(name, text) != text or name not in ("log-format", "log-level", "config") or \
                    command == PROGRAMS[0]:
                flag = f"--{name} {placeholder}".strip()
                parts.append(f"| `{flag.replace('|', chr(92) + '|')}` | {escape(text)} |")
    return "\n".join([*parts, END])


def main():
    readme = README.read_text()
    begin, end = readme.index(BEGIN), readme.index(END) + len(END)
    wanted = tables()
    if sys.argv[1:] == ["write"]:
        README.write_text(readme[:begin] + wanted + readme[end:])
        return 0
    if sys.argv[1:] == ["check"]:
        if readme[begin:end] != wanted:
            have = readme[begin:end].splitlines()
            for line in wanted.splitlines():
                if line not in have:
                    print(f"README.md lacks: {line}", file=sys.stderr)
            print("README.md: the settings aren't those of --help; run ops/dev/settings.py write", file=sys.stderr)
            return 1
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
