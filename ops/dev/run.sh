#!/bin/bash
# Shows Tarn at work: a broker, people whose lives it carries, the projector and the query server over a fresh store.
#
#     ops/dev/run.sh                librdkafka's mock cluster as the broker
#     ops/dev/run.sh --real-kafka   Apache Kafka, as ops/dev/install.sh has put it under build/
#
# Every child is started through setpriv --pdeathsig, so none outlives this script, however it ends. Ports are the
# kernel's choice; TARN_LISTEN=ADDR:PORT fixes the query server's. FLAVOUR picks the programs, as it does for make.
set -euo pipefail
cd "$(dirname "$0")/../.."

EVENTS_PER_SECOND=${EVENTS_PER_SECOND:-20}
PARTITIONS=4 # what the mock cluster gives a topic, too
STREAMS=(balance card consultation coverage credit genetics identity inquiry institution lender loan rate scoring)
FLAVOUR=${FLAVOUR:-release}
PROGRAMS=build/$FLAVOUR/dev
projector_program=build/$FLAVOUR/tarn-projector
query_program=build/$FLAVOUR/tarn-query
started_at=$(date +%s%N)

mkdir -p build/run
folder=$(mktemp -d "$PWD/build/run/XXXXXX")
children=()

# A projector that was started by hand after ours was killed; it isn't our child, but it would miss its store.
end_projector_of_somebody() {
    local pid
    pid=$("$projector_program" status --store "$folder/store" 2>/dev/null |
        sed -n 's/.* is running (pid \([0-9]*\) .*/\1/p') || true
    [ -n "$pid" ] && [ "$pid" != "${projector_pid:-}" ] || return 0
    kill -TERM "$pid" 2>/dev/null && timeout 5 tail --pid="$pid" -f /dev/null || true
}

# Ends the children in the order in which they were started backwards: nobody loses what they depend on.
end() {
    trap - EXIT INT TERM HUP
    end_projector_of_somebody
    for ((i = ${#children[@]} - 1; i >= 0; i--)); do
        kill -TERM "${children[i]}" 2>/dev/null && wait "${children[i]}" 2>/dev/null || true
    done
    rm -rf "$folder"
}
trap end EXIT
trap 'echo; exit 0' INT TERM HUP

# start NAME COMMAND...: stdout and stderr go to NAME.out and NAME.log.
start() {
    local name=$1
    shift
    setpriv --pdeathsig KILL -- "$@" >"$folder/$name.out" 2>"$folder/$name.log" </dev/null &
    children+=($!)
    eval "${name}_pid=$!"
}

fail() {
    echo "run.sh: $1" >&2
    tail -n 20 "$folder"/*.log >&2
    exit 1
}

# wait_for SECONDS WHAT PID COMMAND...: until the command succeeds, as long as the process lives.
wait_for() {
    local until=$(($(date +%s) + $1)) what=$2 pid=$3
    shift 3
    until "$@" >/dev/null 2>&1; do
        kill -0 "$pid" 2>/dev/null || fail "$what ended"
        [ "$(date +%s)" -lt "$until" ] || fail "$what: not within the time"
        sleep 0.05
    done
}

start_mock_kafka() {
    start broker "$PROGRAMS/mock_broker"
    wait_for 10 "the broker" "$broker_pid" test -s "$folder/broker.out"
    brokers=$(head -n 1 "$folder/broker.out")
}

start_real_kafka() {
    . ops/dev/real_kafka.sh
    real_kafka_start "$folder/kafka" "$PARTITIONS"
}

# The address that a server's log names behind these words; fails while there is none.
address_in() {
    grep -oE "$2 (http://)?[0-9.]+:[0-9]+" "$folder/$1.log" | grep -oE '[0-9.]+:[0-9]+$' | head -n 1 | grep .
}

if [ "${1:-}" = --real-kafka ]; then start_real_kafka; else start_mock_kafka; fi

topics=$(for stream in "${STREAMS[@]}"; do printf ',%s=%s.events' "$stream" "$stream"; done)
start projector "$projector_program" run --schema build/examples.binpb --store "$folder/store" --brokers "$brokers" \
    --topics "${topics#,}" --listen 127.0.0.1:0 --kafka fetch.wait.max.ms=20
start query "$query_program" --store "$folder/store" --listen "${TARN_LISTEN:-127.0.0.1:0}" --admin-listen 127.0.0.1:0
start publisher "$PROGRAMS/demo_publisher" "$brokers" build/examples.binpb "$EVENTS_PER_SECOND"

wait_for 10 "the projector" "$projector_pid" address_in projector "admin on"
wait_for 10 "the query server" "$query_pid" address_in query "answering on"
wait_for 30 "the publisher" "$publisher_pid" test -s "$folder/publisher.out"
admin=$(address_in projector "admin on")
url=http://$(address_in query "answering on")
wait_for 30 "the first screen" "$projector_pid" curl -sf "$url/v1/genetic-result/u1001"
screen_ms=$((($(date +%s%N) - started_at) / 1000000))

cat <<TEXT
Tarn is at work: the first screen came after $screen_ms ms. About $EVENTS_PER_SECOND events a second.
People: u1001 to u1060.
Try:

  curl -i  $url/v1/genetic-result/u1001
  curl -s  $url/v1/loan-comparison/u1001/app-u1001 | python3 -m json.tool --no-ensure-ascii
  curl -s  $url/v1/monthly-spending/u1002
  curl -s  $url/v1/unified-balance/u1003
  curl -s  $url/v1/credit-score/u1004
  curl -s  $url/v1/coverage-analysis/u1005
  curl -s  $url/v1/rate-watch/u1006
  curl -s  $url/v1/institution/88
  curl -s  http://$admin/metrics

The projector: pid $projector_pid; its log and the others' in $folder
Kill it (kill -9 $projector_pid), see the answers go on and Tarn-Age grow, and start it again:

  $projector_program run --schema build/examples.binpb --store $folder/store --brokers $brokers \\
      --topics ${topics#,} --listen 127.0.0.1:0

Ctrl-C ends it all.
TEXT
wait "$publisher_pid" || fail "the publisher ended"
