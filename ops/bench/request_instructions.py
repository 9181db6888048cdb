#!/usr/bin/env python3
"""How many instructions tarn-query spends in user space on a request: a figure that holds still on any machine.

    ops/bench/request_instructions.py [--functions N]

tarn-query runs under callgrind, which counts what its event loops do. One client asks for the views of ops/bench/bench_fill
one at a time, once for few and once for many; the difference of the two counts is what the requests cost, a whole turn
of the loop for each included: under load, turns serve more than one. Prints one line of JSON; --functions prints the N
dearest functions of the JSON run (of everything, the start too) to stderr.
"""
import argparse
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "system"))

from tarn import BUILD  # noqa: E402
from tarn.programs import Query  # noqa: E402

PEOPLE = 1000
FEW, MANY = 200, 2200
ACCEPTS = {"json": "*/*", "protobuf": "application/x-protobuf"}


class CountedQuery(Query):
    """Time limits are real ones, callgrind makes everything 50 times slower: they're far away here."""

    def __init__(self, folder, name, store):
        super().__init__(folder, name, store, flags=["--threads", "1", "--read-ahead", "0"])
        self.counts = folder / f"{name}.callgrind"

    def argv(self):
        return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={self.counts}", "--collect-atstart=no",
                "--toggle-collect=http_loop_run", *super().argv()]

    def instructions(self):
        return int(re.search(r"^(?:summary|totals): (\d+)", self.counts.read_text(), re.MULTILINE)[1])


def ask(connection, number, accept):
    """One request and its whole answer; the body's length."""
    connection.sendall(b"GET /v1/genetic-result/u-%07d HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\n\r\n" %
                       (number, accept.encode()))
    answer = connection.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    length = int(re.search(rb"Content-Length: (\d+)", head)[1])
    while len(body) < length:
        body += connection.recv(65536)
    return length


def count(folder, store, name, requests):
    """Instructions of a whole life of the server, and the bytes of its answers."""
    query = CountedQuery(folder, f"{name}-{requests}", store).start()
    try:
        with socket.create_connection(("127.0.0.1", query.port)) as connection:
            sent = sum(ask(connection, number * 7 % PEOPLE, ACCEPTS[name]) for number in range(requests))
        query.stop(timeout_s=60)
    finally:
        query.end()
    return query.instructions(), sent, query.counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--functions", type=int, default=0, metavar="N")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tarn-instructions-"))
    figures = {}
    try:
        store = folder / "store"
        subprocess.run([BUILD / "bench" / "bench_fill", store, str(PEOPLE)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        for name in ACCEPTS:
            few, few_bytes, _ = count(folder, store, name, FEW)
            many, many_bytes, counts = count(folder, store, name, MANY)
            figures[name] = {"instructions": round((many - few) / (MANY - FEW)),
                             "body_bytes": round((many_bytes - few_bytes) / (MANY - FEW))}
            if options.functions and name == "json":
                shown = subprocess.run(["callgrind_annotate", "--inclusive=yes", counts], capture_output=True, text=True, check=True).stdout
                lines = [line for line in shown.splitlines() if re.match(r"\s*[\d,]+ \(", line)]
                print("\n".join(lines[:options.functions + 1]), file=sys.stderr)
        print(json.dumps(figures))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
