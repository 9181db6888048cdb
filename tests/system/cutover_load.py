"""Readers that look at every answer while generations change: `python cutover_load.py PORT LETTERS OWNERS CONNECTIONS`.

LETTERS is JSON, {generation: the letter that its bodies begin and end with}. Asks for random owners over connections that
stay, several requests at a time, as JSON and as protobuf, until stdin ends. Then prints one JSON object: answers by
generation, what failed (no 200), what was torn or mixed (a body that isn't of the generation in its header), and the
latencies' p50 and p99 in ms."""

import collections
import json
import random
import socket
import sys
import threading
import time

PIPELINED = (1, 1, 1, 4, 16)


class Reader:
    def __init__(self, port, letters, owners, seed):
        self.port, self.letters, self.owners = port, letters, owners
        self.chance = random.Random(seed)
        self.answers, self.failed, self.mixed, self.latencies = collections.Counter(), [], [], []

    def run(self, stop):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            answers = connection.makefile("rb")
            try:
                while not stop.is_set():
                    self.ask(connection, answers)
            except (OSError, ValueError) as fault:
                self.failed.append(repr(fault))

    def ask(self, connection, answers):
        count = self.chance.choice(PIPELINED)
        wants_bytes = self.chance.random() < 0.3
        accept = "application/x-protobuf" if wants_bytes else "application/json"
        owners = [f"u{self.chance.randrange(self.owners)}" for _ in range(count)]
        began = time.perf_counter()
        connection.sendall("".join(f"GET /v1/screen/{owner} HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n"
                                   for owner in owners).encode())
        for owner in owners:
            status = answers.readline().split(b" ")[1]
            headers = {}
            while (line := answers.readline().strip()):
                name, value = line.split(b": ", 1)
                headers[name] = value.decode()
            body = answers.read(int(headers[b"Content-Length"]))
            self.check(owner, status, headers, body, wants_bytes)
        self.latencies.append(time.perf_counter() - began)

    def check(self, owner, status, headers, body, wants_bytes):
        generation = headers.get(b"Tarn-Generation")
        self.answers[generation] += 1
        if status != b"200":
            self.failed.append(f"{owner}: {status} {body[:200]}")
            return
        letter = self.letters[generation].encode()
        if wants_bytes:
            is_whole = b"\x12\x01" + letter in body and body.endswith(b"\x22\x01" + letter)
        else:
            is_whole = b'"begin":"%s"' % letter in body and body.endswith(b'"end":"%s"}' % letter)
        if not is_whole or owner.encode() not in body:
            self.mixed.append(f"{owner}: {generation} says {body[:40]}...{body[-20:]}")


def main(port, letters, owners, connections):
    readers = [Reader(port, letters, owners, seed) for seed in range(connections)]
    stop = threading.Event()
    threads = [threading.Thread(target=reader.run, args=(stop,)) for reader in readers]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    latencies = sorted(latency * 1000 for reader in readers for latency in reader.latencies)
    print(json.dumps({
        "answers": sum((reader.answers for reader in readers), collections.Counter()),
        "failed": [fault for reader in readers for fault in reader.failed][:20],
        "mixed": [fault for reader in readers for fault in reader.mixed][:20],
        "p50_ms": latencies[len(latencies) // 2], "p99_ms": latencies[len(latencies) * 99 // 100]}))


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
