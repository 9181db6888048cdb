"""ops/docs/benchmarks.md: what `make bench` measured stands between two markers, what people wrote about it around them."""

BEGIN = "<!-- measured: written by make bench -->"
END = "<!-- end of measured -->"


def around(path):
    """What stands before and after the markers."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} lacks the markers {BEGIN} … {END}")
    return before, after


def write(path, machine, command, results):
    """Replaces what stands between the markers, and nothing else."""
    before, after = around(path)
    lines = ["| | |", "|---|---|", *(f"| {what} | {which} |" for what, which in machine), f"| command | `{command}` |"]
    measured = "\n".join(lines) + "\n\n" + results.markdown()
    path.write_text(f"{before}{BEGIN}\n\n{measured}\n{END}{after}")
