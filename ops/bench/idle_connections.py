#!/usr/bin/env python3
"""What idle connections cost tarn-query in memory of its own: anonymous pages, so neither the store nor the kernel's side.

    ops/bench/idle_connections.py [--connections N]

Opens N connections, each of which gets one view and then rests; what the process has grown by is divided by them. A first
thousand, which isn't counted, brings the buffers that all share. Prints one line of JSON.
"""
import argparse
import json
import pathlib
import re
import resource
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
WARM_UP = 1000


def own_bytes(pid):
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Anonymous:\s+(\d+) kB", rollup, re.MULTILINE)[1]) * 1024


def rest_after_one_answer(port, number):
    """A connection that stays open; its whole answer has come."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(b"GET /v1/genetic-result/u-%07d HTTP/1.1\r\nHost: localhost\r\n\r\n" % (number % PEOPLE))
    head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    length = int(re.search(rb"Content-Length: (\d+)", head)[1])
    while len(body) < length:
        body += connection.recv(65536)
    return connection


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=5000, metavar="N")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert hard > WARM_UP + options.connections + 100, f"ulimit -n is {hard}: too few for {options.connections}"

    folder = pathlib.Path(tempfile.mkdtemp(prefix="tarn-idle-"))
    query = None
    try:
        store = folder / "store"
        subprocess.run([BUILD / "bench" / "bench_fill", store, str(PEOPLE)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        query = Query(folder, "tarn-query", store, flags=["--max-connections", "100000", "--idle-timeout", "1h"]).start()
        connections = [rest_after_one_answer(query.port, number) for number in range(WARM_UP)]
        before = own_bytes(query.process.pid)
        connections += [rest_after_one_answer(query.port, number) for number in range(options.connections)]
        after = own_bytes(query.process.pid)
        print(json.dumps({"connections": options.connections, "own_bytes_before": before, "own_bytes_after": after,
                          "bytes_per_1000": round((after - before) * 1000 / options.connections)}))
        for connection in connections:
            connection.close()
    finally:
        if query:
            query.end()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
