#!/bin/bash
# Everything that `make test` runs, once it is built: unit tests, then the Python suites (models, system tests against a
# real Kafka). Ends in one plain line, "N passed, N failed", and fails when a test did or a suite couldn't run.
#
#     tests/all.sh UNIT_PROGRAM...
set -u
cd "$(dirname "$0")/.."
results=build/results
rm -rf "$results"
mkdir -p "$results"

# Adds up the counts of one suite; a suite that left none counts as a failure.
passed=0 failed=0 skipped=0
add() {
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

tests/unit/run.sh --counts "$results/unit" "$@"
if read -r good bad <"$results/unit"; then add "$good" "$bad" 0; else add 0 1 0; fi

# A worker that crashes (an extension module's fault) isn't replaced, as its replacement may wait for work forever
# (pytest-xdist 3.8 with loadgroup): its test counts as failed, the others go on. Nothing takes this long, unless it hangs.
timeout --kill-after=60 4500 build/venv/bin/python -m pytest tests -n 2 --dist loadgroup --max-worker-restart=0 \
    ${PYTEST_FLAGS:-} --counts "$results/python"
status=$?
if read -r good bad none <"$results/python"; then
    add "$good" "$bad" "$none"
    # Stopped half-way (3, 4), or nothing collected (5): no test says so.
    [ "$status" -le 1 ] || add 0 1 0
else
    add 0 1 0
fi

if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
