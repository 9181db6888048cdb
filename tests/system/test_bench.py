"""`make bench` in its smallest form, so that it doesn't rot; and what its table says of given figures."""

import json
import subprocess
import sys

import pytest
from tarn import ROOT
from tarn.process import environment

sys.path.insert(0, str(ROOT / "ops" / "bench"))
import page  # noqa: E402
from results import AIM, FLOOR, MISSED, Results  # noqa: E402


def bench(*arguments, timeout_s=280):
    return subprocess.run([sys.executable, ROOT / "ops" / "bench" / "bench.py", *map(str, arguments)], capture_output=True,
                          text=True, timeout=timeout_s, env=environment())


@pytest.mark.timeout(600)
def test_the_benchmark_measures_every_promise_and_writes_its_page_around_what_people_wrote(tmp_path):
    target, figures = tmp_path / "page.md", tmp_path / "figures.json"
    target.write_text(f"# Before\n{page.BEGIN}\nwhat was there\n{page.END}\nafter\n")
    done = bench("--smoke", "--only", "rebuild,catch-up,latency,reading,generations", "--folder", tmp_path, "--page", target, "--json",
                 figures, timeout_s=580)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [row["what"] for row in json.loads(figures.read_text())["rows"]]
    for promise in ("rebuild, `--memory 4GiB` / consume + decode alone", "peak of own memory", "the first answer",
                    "produce to readable at 1,000 events/s: p99", "produce to readable at 5,000 events/s: p99",
                    "p99 of 5,000 reads/s beside 5,000 events/s", "beside a rebuild of 125 views, to its end"):
        assert any(promise in row for row in rows), (promise, rows)
    written = target.read_text()
    assert written.startswith("# Before\n") and written.endswith("after\n") and "what was there" not in written
    for part in ("| commit |", "| processor |", "| disk |", *rows):
        assert part in written, part
    assert all(row in done.stdout for row in rows)
    assert not list(tmp_path.glob("tarn-bench-*")), "its folder is left behind"


def test_a_part_or_too_few_runs_leave_the_page_of_the_repository_alone():
    import bench as program

    assert program.page_of(program.parse([])) == program.PAGE
    for arguments in (["--only", "reading"], ["--runs", "3"], ["--smoke"], ["--no-page"]):
        assert program.page_of(program.parse(arguments)) is None, arguments


def pair(tarn, peer):
    return {"per_second": tarn, "cpu_us": 1}, {"per_second": peer, "cpu_us": 10}


@pytest.mark.parametrize("rates, verdict", [([140, 90, 150], AIM), ([125, 100, 130], FLOOR), ([110, 119, 500], MISSED)])
def test_a_ratio_is_judged_by_the_median_of_its_pairs(rates, verdict):
    row = Results()
    row.section("")
    assert row.ratio("x", [pair(rate, 100) for rate in rates], "y", 1.4, 1.2).verdict() == verdict


def test_a_limit_is_met_from_below():
    results = Results()
    results.section("")
    assert results.value("p99", [4], " ms", 5, 10).verdict() == AIM
    assert results.value("p99", [8], " ms", 5, 10).verdict() == FLOOR
    assert results.value("p99", [11], " ms", 5, 10).verdict() == MISSED
    assert results.value("p99", [11], " ms").verdict() == ""


def test_a_ratio_of_cost_says_how_many_times_ours_the_peers_is():
    results = Results()
    results.section("")
    assert results.ratio("CPU", [pair(1, 1)], "y", 9, 7, key="cpu_us").median == 10


def test_a_peer_that_is_far_below_itself_is_flagged():
    results = Results()
    results.section("")
    assert "peer slow" in results.ratio("x", [pair(90_000, 30_000)], "nginx", 1.4).flag
    assert results.ratio("x", [pair(90_000, 50_000)], "nginx", 1.4).flag == ""


def test_a_page_without_markers_is_refused(tmp_path):
    target = tmp_path / "page.md"
    target.write_text("text")
    with pytest.raises(ValueError):
        page.write(target, [], "make bench", Results())
    assert target.read_text() == "text"
