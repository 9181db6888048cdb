"""Answers against what people use for them today: the servers take turns, one client asks all of them."""

import machine
from place import in_turns
from readers import CONNECTIONS, JOIN_CONNECTIONS, MariaDB, Nginx, Redis, Tarn

NAME = "reading"
NEEDS = {"nginx": ("nginx",), "redis": ("redis-server", "redis-cli"), "mariadb": ("mariadbd", "mariadb-install-db")}
TITLES = {"nginx": "nginx", "redis": "Redis GET", "mariadb": "MariaDB join"}
# (ours, the peer, what is compared, aim, floor, digits)
RATIOS = (
    ("json", "nginx", "per_second", 1.4, 1.2, 2),
    ("json", "redis", "per_second", 1.0, 0.75, 2),
    ("json", "mariadb", "per_second", 7, 5, 1),
    ("json", "mariadb", "cpu_us", 9, 7, 1),
    ("protobuf", "redis", "per_second", 1.15, 0.95, 2),
    ("json", "nginx", "cpu_us", None, None, 2),
    ("json", "redis", "cpu_us", None, None, 2),
)
WHAT = {"nginx": "nginx, static files, `open_file_cache`", "redis": "Redis GET of the JSON's bytes, one at a time",
        "mariadb": "join of three tables in MariaDB, prepared"}


def run(place, results):
    options = place.options
    folder = place.folder / "reading"
    folder.mkdir()
    servers = {}
    try:
        place.say(f"filling the servers with {options.readers:,} people")
        bytes_of_json = start(place, folder, servers, results)
        figures = measure(place, servers, results)
    finally:
        for server in servers.values():
            server.end()
        place.remove(folder)

    results.section(f"Reading: {options.readers:,} people, {CONNECTIONS} connections, JSON of {bytes_of_json:,} bytes")
    for ours, peer, key, aim, floor, digits in RATIOS:
        if peer not in figures:
            continue
        what = WHAT[peer] if key == "per_second" else f"{TITLES[peer]}: how many times as much CPU it takes"
        results.ratio(f"{'JSON' if ours == 'json' else ours} / {what}", list(zip(figures[ours], figures[peer])), TITLES[peer],
                      aim, floor, key, digits)
    if "nginx" in servers and servers["nginx"].people < options.readers:
        results.note(f"nginx serves {servers['nginx'].people:,} people: all its files must fit its limit of open ones.")
    if "mariadb" in servers:
        results.note(f"MariaDB is asked over {JOIN_CONNECTIONS} connections, where it is fastest.")
    place.tell_disturbed_rates(results)
    for peer in NEEDS:
        if peer not in figures:
            results.missing(WHAT[peer], "not installed" if options.has_peer(peer) else "not in --peers")


def start(place, folder, servers, results):
    """Starts Tarn and those peers that are there; the size of an average answer."""
    people = place.options.readers
    tarn = servers["tarn"] = Tarn(folder, people)
    bodies = list(tarn.bodies(min(people, 20_000)))
    makers = {
        "nginx": lambda: Nginx(folder, len(bodies), bodies),
        "redis": lambda: Redis(folder, people, bodies[0]),
        "mariadb": lambda: MariaDB(folder, people),
    }
    for name, make in makers.items():
        if place.options.has_peer(name) and machine.has(*NEEDS[name]):
            place.say(f"starting {name}")
            servers[name] = make()
    return round(sum(map(len, bodies)) / len(bodies))


def measure(place, servers, results):
    """{name: [figures of each run]}: "json" and "protobuf" are tarn-query's."""
    seconds = place.options.seconds
    members = {"json": lambda: tarn_as(servers["tarn"], seconds, "application/json"),
               **{name: (lambda server=server: server.measure(seconds)) for name, server in servers.items() if name != "tarn"},
               "protobuf": lambda: tarn_as(servers["tarn"], seconds, "application/x-protobuf")}
    figures = {name: [] for name in members}
    for run_number in place.runs():
        for name in in_turns(run_number, members):
            figures[name].append(place.undisturbed_rate(members[name]))
            results.keep(f"reading {name}", figures[name][-1])
            place.say_rate(name, figures[name][-1])
    return figures


def tarn_as(tarn, seconds, accept):
    tarn.accept = accept
    return tarn.measure(seconds)
