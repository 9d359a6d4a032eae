#!/bin/sh
# Kills client and server at random instants of backup, sync, import and re-wrap; after each the next run has to go on, and what
# was backed up has to restore.
#   backup-kills.sh        200 kills
#   backup-kills.sh N      N kills
set -eu
cd "$(dirname "$0")/../.."
export KMS_TESTS_REQUIRE_ALL=1
KMS_TESTS_KILLS="${1:-200}" cargo test --package kms-tests --test backup_side -- --nocapture killed::
