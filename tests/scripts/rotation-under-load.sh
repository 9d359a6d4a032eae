#!/bin/sh
# Ten minutes (or as many seconds as the first argument says) of encryption and decryption while pairs rotate each second.
set -eu
cd "$(dirname "$0")/../.."
KMS_TEST_SECONDS="${1:-600}" exec cargo test --package kms-tests --test rotation_under_load -- --nocapture
