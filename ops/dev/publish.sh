#!/bin/sh
# Publishes events that are written as JSON to Kafka; ops/dev/publish.py says how.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
"$root/ops/dev/install.sh" python
exec "$root/build/venv/bin/python" "$root/ops/dev/publish.py" "$@"
