#!/bin/sh
# Kills the server between its commit and its answer 200 times (or as many times as the first argument says), and counts
# what was made.
set -eu
cd "$(dirname "$0")/../.."
KMS_TEST_ROUNDS="${1:-200}" exec cargo test --package kms-tests --test lost_answers -- --nocapture
