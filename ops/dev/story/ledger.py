"""What the screens say against what the write database says: each committed change exactly once, and nothing else."""

import concurrent.futures
import http.client
import json


def truth_of(database):
    """{person: [(result id, value), ...] in the order of the commits}"""
    truth = {}
    for person, result_id, value in database.run("SELECT person, id, value FROM results ORDER BY person, number"):
        truth.setdefault(person, []).append((result_id, int(value)))
    return truth


def screens_of(query, people, threads=4):
    """{person: the screen as JSON, None for a 404}"""
    def read(some):
        connection, screens = http.client.HTTPConnection("127.0.0.1", query.port, timeout=60), {}
        for person in some:
            connection.request("GET", f"/v1/results/{person}")
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status in (200, 404), f"{person}: {answer.status} {body[:300]}"
            assert answer.headers.get("Tarn-Incomplete") is None, person
            screens[person] = json.loads(body) if answer.status == 200 else None
        connection.close()
        return screens

    screens = {}
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for some in pool.map(read, [people[number::threads] for number in range(threads)]):
            screens.update(some)
    return screens


def differences(truth, screens):
    """One line for each screen that isn't what was committed."""
    found = []
    for person, screen in screens.items():
        wanted = truth.get(person, [])
        if screen is None:
            if wanted:
                found.append(f"{person}: no screen, {len(wanted)} results are committed")
            continue
        shown = [(result["resultId"], result["value"]) for result in screen["history"]]
        if shown != wanted:
            found.append(f"{person}: shows {_names(shown)}, committed are {_names(wanted)}")
        elif (screen["results"], int(screen["points"])) != (len(wanted), sum(value for _, value in wanted)):
            found.append(f"{person}: counts {screen['results']} results and {screen['points']} points of {_names(wanted)}")
        elif screen["resultId"] != wanted[-1][0]:
            found.append(f"{person}: the newest is {screen['resultId']}, committed is {wanted[-1][0]}")
    return found


def _names(results):
    return "[" + " ".join(result_id for result_id, _ in results) + "]"
