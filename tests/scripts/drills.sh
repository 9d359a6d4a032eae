#!/usr/bin/env bash
# Runs the drills that come along, one after the other, as somebody does who has installed the programs; reports go into a folder.
#   tests/scripts/drills.sh [FOLDER] [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/../.."
reports=${1:-target/drills}
rounds=${2:-1}
mkdir -p "$reports"
cargo build --quiet -p kms-server -p kms-client --bins
failed=0
for round in $(seq "$rounds"); do
    for name in $(target/debug/kms-client drill list | cut -d' ' -f1); do
        echo "== $name, round $round"
        target/debug/kms-client drill run "$name" --html "$reports/$name.html" --junit "$reports/$name.xml" || failed=1
    done
done
exit "$failed"
