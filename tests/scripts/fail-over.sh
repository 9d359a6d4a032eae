#!/bin/sh
# Lets one of two servers fail in every way there is, 60 seconds each (or as the first argument says), and reports delays.
set -eu
cd "$(dirname "$0")/../.."
KMS_TEST_SECONDS="${1:-60}" exec cargo test --package kms-tests --test fail_over -- --nocapture
