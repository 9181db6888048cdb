#!/bin/bash
# Runs unit test programs, two at a time, and prints what failed and one closing line: "N passed, N failed".
#
#     tests/unit/run.sh [--counts FILE] PROGRAM...
#
# --counts also writes "passed failed" into FILE. A program that dies, hangs for five minutes or makes a sanitizer speak
# counts as one failure more than its tests do.
set -u
counts=
if [ "${1-}" = --counts ]; then
    counts=$2
    shift 2
fi
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

run_one() {
    log=$1/${2//\//_}.log
    CMOCKA_MESSAGE_OUTPUT=TAP UBSAN_OPTIONS=print_stacktrace=1 timeout --kill-after=5 300 "$2" >"$log" 2>&1 </dev/null
    echo $? >"$log.status"
}
export -f run_one
printf '%s\0' "$@" | xargs -0 -r -P "$(nproc)" -I{} bash -c 'run_one "$0" "$1"' "$logs" {}

passed=0 failed=0
for program in "$@"; do
    log=$logs/${program//\//_}.log
    status=$(cat "$log.status")
    good=$(grep -c '^ok ' "$log")
    bad=$(grep -c '^not ok ' "$log")
    if [ "$bad" -eq 0 ] && { [ "$status" -ne 0 ] || grep -qE 'AddressSanitizer|ThreadSanitizer|runtime error:' "$log"; }; then
        bad=1
        echo "$program ended with status $status" >>"$log"
    fi
    if [ "$bad" -gt 0 ]; then
        echo "--- $program"
        grep -v '^ok ' "$log"
    fi
    passed=$((passed + good)) failed=$((failed + bad))
done
[ -z "$counts" ] || echo "$passed $failed" >"$counts"
echo "unit tests: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
