#!/bin/bash
# Fails on an #include that the architecture forbids, and prints the largest modules.
#
# Two tables. FORBIDDEN: files that match the first pattern never include what matches the second. ONLY_IN: a foreign
# library is included in as few files as its job has; everybody else goes through the port behind which it stands.
# Patterns are extended regular expressions over paths and over the included name.
set -euo pipefail
cd "$(dirname "$0")/../.."

FORBIDDEN=(
    '^schema/            ^(ops|projector|query|tests)/           the schema knows nobody'
    '^schema/base/       ^schema/(message|json|view|store|tarn)/ base is below everything'
    '^schema/message/    ^schema/(json|view|store)/              messages know no views'
    '^schema/view/       ^schema/(json|store)/                   the language knows no store'
    '^ops/runtime/       ^(schema/(message|json|view|store|tarn)|projector|query|tests)/   the runtime is of no program'
    '^projector/         ^(query|tests|ops/(dev|bench|deploy))/  the programs meet in the store on disk'
    '^query/             ^(projector|tests|ops/(dev|bench|deploy))/ the programs meet in the store on disk'
)
ONLY_IN=(
    '^lmdb\.h$                    ^(schema/store/environment\.h|tests/unit/.*|ops/bench/.*)$'
    '^schema/store/environment\.h$ ^schema/store/((store|checkpoint)(_[a-z_]+)?|environment)\.c$'
    '^mysql\.h$                   ^(projector/mysql_[a-z_]*\.[ch]|ops/bench/.*|tests/.*)$'
    '^librdkafka/                 ^(ops/runtime/kafka_conf\.[ch]|projector/kafka_[a-z_]*\.[ch]|query/exposure_kafka\.c|ops/(dev|bench)/.*|tests/.*)$'
    '^protobuf-c/                 ^(schema/(message|json|view)/.*|projector/projection.*|tests/.*)$'
    '^google/protobuf/.*pb-c\.h$  ^(schema/message/.*\.[ch]|tests/.*)$'
    '^tarn/view\.pb-c\.h$         ^(schema/view/.*\.[ch]|tests/.*)$'
    '^xxhash\.h$                  ^schema/base/hash\.c$'
    '^ini\.h$                     ^ops/runtime/config\.c$'
    '^zlib\.h$                    ^schema/store/partitioner\.c$'
    '^cmocka\.h$                  ^tests/'
)

# FILE INCLUDED, one line each.
includes() {
    find schema ops projector query tests -name '*.[ch]' -print0 |
        xargs -0 awk 'match($0, /^[ \t]*#[ \t]*include[ \t]*["<][^">]+[">]/) {
            name = $0; sub(/^[^"<]*["<]/, "", name); sub(/[">].*/, "", name); print FILENAME, name }'
}

list=$(includes)
found=$(
    for row in "${FORBIDDEN[@]}"; do
        read -r from to why <<<"$row"
        awk -v from="$from" -v to="$to" -v why="$why" \
            '$1 ~ from && $2 ~ to { print $1 ": includes " $2 ": " why }' <<<"$list"
    done
    for row in "${ONLY_IN[@]}"; do
        row=${row//\\/\\\\} # awk -v reads escapes once more
        IFS=$' \t' read -r -d '' library where <<<"$row" || true
        where=${where%$'\n'}
        awk -v library="$library" -v where="$where" \
            '$2 ~ library && $1 !~ where { print $1 ": includes " $2 ", which belongs to " where }' <<<"$list"
    done
)
if [ -n "$found" ]; then
    echo "$found"
    echo "arrows: $(wc -l <<<"$found") forbidden"
    exit 1
fi

echo "arrows: none is forbidden. The largest modules, in lines:"
find schema ops projector query -name '*.c' -exec wc -l {} + | grep -v ' total$' |
    sort -rn | awk 'NR <= 5 || $1 > 400 { print "  " $1 " " $2 }'
