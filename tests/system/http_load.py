"""A load with a pace, in a process of its own: `python http_load.py PORT RATE SECONDS < paths`.

Requests are planned at even distances, and a latency counts from the planned moment, so that a server that stands still
for a second costs what it would have cost its users. Prints one JSON object: answers by status, failures, p50 and p99
in ms."""

import collections
import http.client
import json
import sys
import threading
import time

CONNECTIONS = 4


def run(port, rate, seconds, paths):
    statuses, failures, latencies = collections.Counter(), [], []
    began = time.monotonic() + 0.1

    def ask(first):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for number in range(first, int(rate * seconds), CONNECTIONS):
            planned = began + number / rate
            time.sleep(max(0.0, planned - time.monotonic()))
            path = paths[number % len(paths)]
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                json.loads(answer.read())
                statuses[answer.status] += 1
            except (OSError, http.client.HTTPException, ValueError) as fault:
                failures.append(f"{path}: {fault!r}")
                connection.close()
            latencies.append(time.monotonic() - planned)

    asking = [threading.Thread(target=ask, args=(first,)) for first in range(CONNECTIONS)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    latencies.sort()
    return {"statuses": statuses, "failures": failures, "p50_ms": latencies[len(latencies) // 2] * 1000,
            "p99_ms": latencies[len(latencies) * 99 // 100] * 1000}


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.stdin.read().split())))
