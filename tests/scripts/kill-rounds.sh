#!/bin/sh
# Ends the server under load and looks at the store each time.
#   kill-rounds.sh             50 kills under creations, 1,000 kills and 100 power cuts under creations, rotations and destructions
#   kill-rounds.sh TEST N      N rounds of one: pairs, kills or power_cuts
# The power cuts need FUSE, fusepy and the file system that forgets (KMS_TESTS_PYTHON, KMS_TESTS_LOSSYFS).
set -eu
cd "$(dirname "$0")/../.."
export KMS_TESTS_REQUIRE_ALL=1
rounds() {
    case "$1" in
        pairs) filter=pairs:: ;;
        kills | power_cuts) filter="lines::lines_of_generations_outlive_$1" ;;
        *) echo "kill-rounds.sh: '$1' is none of pairs, kills, power_cuts" >&2; exit 2 ;;
    esac
    KMS_TEST_ROUNDS="$2" cargo test --package kms-tests --test kill -- --nocapture "$filter"
}
if [ $# -gt 0 ]; then
    rounds "$1" "${2:?how many rounds?}"
else
    rounds pairs 50
    rounds kills 1000
    rounds power_cuts 100
fi
