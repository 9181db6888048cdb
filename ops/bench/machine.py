"""What the figures were measured on: a page without it is worth nothing."""

import datetime
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _first_line(*argv):
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter((done.stdout or done.stderr).strip().splitlines()), "")


def _version(pattern, *argv):
    found = re.search(pattern, _first_line(*argv))
    return found[1] if found else None


def _package(name):
    version = _first_line("dpkg-query", "-W", "-f", "${Version}", name)
    return version.split("-")[0] if version and "no packages" not in version else None


def _cpu():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _sync_ms(folder):
    """What an fdatasync after 4 KiB takes here: commits and latencies rest on it."""
    path = pathlib.Path(folder) / "sync-probe"
    times = []
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for number in range(100):
            os.pwrite(descriptor, bytes(4096), number % 16 * 4096)
            began = time.monotonic()
            os.fdatasync(descriptor)
            times.append((time.monotonic() - began) * 1e3)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(times), sorted(times)[98]


def _disk(folder):
    source = _first_line("findmnt", "-n", "-o", "SOURCE,FSTYPE", "-T", str(folder)).split()
    kind = ""
    if source:
        block = pathlib.Path("/sys/block") / pathlib.Path(source[0]).name.rstrip("0123456789")
        if (block / "queue" / "rotational").exists():
            kind = "rotating" if (block / "queue" / "rotational").read_text().strip() == "1" else "not rotating"
            virtual = pathlib.Path(source[0]).name.startswith("vd")
            kind = ("virtual, " if virtual else "") + kind
    median, high = _sync_ms(folder)
    return f"{source[1] if len(source) > 1 else 'unknown'}{' on a disk that is ' + kind if kind else ''}; fdatasync of 4 KiB: " \
           f"median {median:.2f} ms, 99th of 100 {high:.2f} ms"


def _commit():
    commit = _first_line("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    is_changed = subprocess.run(["git", "-C", str(ROOT), "diff", "--quiet", "HEAD", "--", "schema", "projector", "query",
                                 "ops/runtime", "ops/bench", "Makefile"], capture_output=True).returncode == 1
    return (commit or "unknown") + (" with changes that aren't committed" if is_changed else "")


def _operating_system():
    for line in pathlib.Path("/etc/os-release").read_text().splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.split("=", 1)[1].strip('"')
    return platform.system()


def versions():
    """{program: version} of what is there."""
    pom = (ROOT / "ops" / "bench" / "streams" / "pom.xml").read_text()
    found = {
        "Apache Kafka": next((path.name.removeprefix("kafka-") for path in sorted((ROOT / "build").glob("kafka-*"))), None),
        "Kafka Streams": re.search(r"kafka-streams</artifactId>\s*<version>([\d.]+)", pom)[1],
        "Java": _version(r'"([\d.]+)"', "java", "-version"),
        "librdkafka": _package("librdkafka1"),
        "LMDB": _package("liblmdb0"),
        "protobuf-c": _package("libprotobuf-c1"),
        "nginx": _version(r"nginx/([\d.]+)", "/usr/sbin/nginx", "-v") or _version(r"nginx/([\d.]+)", "nginx", "-v"),
        "Redis": _version(r"v=([\d.]+)", "redis-server", "--version"),
        "MariaDB": _version(r"Ver ([\d.]+)", "mariadbd", "--version"),
        "gcc": _version(r"([\d.]+)$", "gcc", "--version"),
    }
    return {name: version for name, version in found.items() if version}


def describe(folder):
    """[(what, which)], for the page and the terminal."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        ("date", datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
        ("commit", _commit()),
        ("processor", f"{os.cpu_count()} cores of {_cpu()}"),
        ("memory", f"{memory:.0f} GiB"),
        ("disk", _disk(folder)),
        ("system", f"{_operating_system()}, Linux {platform.release().split('-')[0]}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions().items())),
        ("load before the start", " ".join(f"{load:.2f}" for load in os.getloadavg())),
    ]


def has(*programs):
    return all(shutil.which(program) for program in programs)
