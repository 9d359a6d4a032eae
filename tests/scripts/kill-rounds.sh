#!/bin/sh
# Kills the server under load 50 times (or as many times as the first argument says) and checks the store each time.
set -eu
cd "$(dirname "$0")/../.."
KMS_TEST_ROUNDS="${1:-50}" exec cargo test --package kms-tests --test kill -- --nocapture
