"""The two commands of a fresh machine, and what the others say when something is missing."""

import os
import shutil
import subprocess

import pytest

from tarn import ROOT


def run(*argv, cwd=ROOT, path=None):
    """A command as somebody at a terminal gives it: nothing of the surrounding `make` reaches it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "TARN_"))}
    if path:
        env["PATH"] = f"{path}:{env['PATH']}"
    return subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)


@pytest.fixture
def bare_machine(tmp_path):
    """A folder for PATH in which dpkg-query knows of no package but gcc and make."""
    fake = tmp_path / "dpkg-query"
    fake.write_text("#!/bin/sh\nprintf 'ii  gcc\\nii  make\\nun  librdkafka-dev\\n'\nexit 1\n")
    fake.chmod(0o755)
    return tmp_path


def test_plain_make_names_the_missing_packages_and_the_command_that_installs_them(bare_machine):
    done = run("make", "--dry-run", path=bare_machine)
    assert done.returncode == 2
    assert "these packages are missing:" in done.stderr
    assert "librdkafka-dev" in done.stderr and "liblmdb-dev" in done.stderr
    assert "ops/dev/install.sh build" in done.stderr
    assert " gcc " not in done.stderr and "CC " not in done.stdout


def test_help_needs_nothing(bare_machine):
    done = run("make", "help", path=bare_machine)
    assert done.returncode == 0
    for target in ("run", "test", "check", "asan", "tsan", "fuzz", "tidy", "coverage", "format", "arrows"):
        assert f"\n{target} " in f"\n{done.stdout}", target


def test_installing_again_is_quiet():
    done = run("ops/dev/install.sh", "build", "run", "test")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_flavour_is_built_beside_another_that_is_as_new_as_its_sources():
    done = run("make", "--dry-run", "FLAVOUR=another", "build")
    assert done.returncode == 0, done.stderr
    for program in ("tarn-projector", "tarn-query"):
        assert f"build/another/{program}" in done.stdout and f"another/{program} " in done.stdout.splitlines()[-1]


def test_an_unknown_purpose_is_a_usage_mistake():
    done = run("ops/dev/install.sh", "everything")
    assert done.returncode == 2 and "everything" in done.stderr


@pytest.mark.parametrize("file, included, why", [
    ("schema/base/x.c", '"projector/cache.h"', "the schema knows nobody"),
    ("schema/message/x.h", '"schema/store/store.h"', "messages know no views"),
    ("ops/runtime/x.c", '"schema/view/plan.h"', "the runtime is of no program"),
    ("query/x.c", '"projector/cache.h"', "the programs meet in the store on disk"),
    ("projector/x.c", '"query/loop.h"', "the programs meet in the store on disk"),
    ("projector/x.c", "<lmdb.h>", "belongs to"),
    ("query/x.c", "<librdkafka/rdkafka.h>", "belongs to"),
])
def test_arrows_fails_on_an_include_that_the_architecture_forbids(tmp_path, file, included, why):
    for folder in ("schema/base", "schema/message", "ops/dev", "ops/runtime", "projector", "query", "tests"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "ops/dev/arrows.sh", tmp_path / "ops/dev")
    (tmp_path / "schema/base/fine.c").write_text("#include <string.h>\n")
    assert run(tmp_path / "ops/dev/arrows.sh", cwd=tmp_path).returncode == 0
    (tmp_path / file).write_text(f"#include {included}\n")
    done = run(tmp_path / "ops/dev/arrows.sh", cwd=tmp_path)
    assert done.returncode == 1
    assert file in done.stdout and why in done.stdout


def test_no_include_of_ours_is_forbidden():
    done = run("ops/dev/arrows.sh")
    assert done.returncode == 0, done.stdout


def test_the_closing_line_adds_up_unit_tests_and_names_what_failed(tmp_path):
    good, bad, dead = tmp_path / "test_good", tmp_path / "test_bad", tmp_path / "test_dead"
    good.write_text("#!/bin/sh\necho 'ok 1 - one'\necho 'ok 2 - two'\n")
    bad.write_text("#!/bin/sh\necho 'ok 1 - one'\necho 'not ok 2 - what_is_broken'\nexit 1\n")
    dead.write_text("#!/bin/sh\necho 'ok 1 - one'\nkill -SEGV $$\n")
    for program in (good, bad, dead):
        program.chmod(0o755)
    done = run("tests/unit/run.sh", "--counts", str(tmp_path / "counts"), str(good), str(bad), str(dead))
    assert done.returncode == 1
    assert "unit tests: 4 passed, 2 failed" in done.stdout
    assert "what_is_broken" in done.stdout and "test_dead ended with status" in done.stdout
    assert (tmp_path / "counts").read_text() == "4 2\n"
