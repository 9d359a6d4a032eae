#!/bin/sh
# A server for one test run: started on free ports, broken on purpose, asked what it saw, stopped.
# Needs kms-server and kms-client on the PATH.
set -eu

folder=$(mktemp -d)
kms-server dev --ephemeral --listen 127.0.0.1:0 --admin 127.0.0.1:0 --ready-file "$folder/ready.json" --json \
    >"$folder/said.json" 2>"$folder/server.log" &
server=$!
trap 'kill $server; wait $server 2>/dev/null || true; rm -rf "$folder"' EXIT
until [ -s "$folder/ready.json" ]; do
    kill -0 $server || { cat "$folder/server.log" >&2; exit 1; }
    sleep 0.05
done

field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$folder/ready.json"; }
KMS_ADMIN=$(field admin)
export KMS_ADMIN
client() { kms-client --state "$folder/client" --profile "$(field profile)" "$@"; }

client job create nightly --key rsa-2048
kms-server ctl clock advance 91d
kms-server ctl fault add "error:General Failure:out of paper"
client sync || echo "sync failed, as it was told to"
kms-server ctl fault reset
client sync
kms-server ctl journal --failed
