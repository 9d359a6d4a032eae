#!/bin/sh
# PyKMIP's own integration suite, as its sdist on PyPI has it, against this server. Arguments go to pytest: -k NAME.
set -eu
cd "$(dirname "$0")/../.."
version=0.11.0
folder=target/interop/pykmip-suite
mkdir -p "$folder"
if [ ! -f "$folder/made-of-$version" ]; then
    python3 -m venv --clear "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
        --requirement tests/tests/interop/requirements.txt pytest==9.1.1 testtools==2.9.1
    "$folder/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
        --dest "$folder" "PyKMIP==$version"
    tar -xzf "$folder"/[Pp]y[Kk][Mm][Ii][Pp]-"$version".tar.gz -C "$folder"
    touch "$folder/made-of-$version"
fi
[ -n "${KMS_TEST_SERVER:-}" ] || cargo build --quiet --package kms-server --package kms-client --bins

state=$(mktemp -d)
# What the suite does otherwise than the specification: docs/policies.md says what each setting is.
cat >"$state/kms.toml" <<END
[compatibility]
shared-names = true
destroyed-not-found = true
derive-from-pre-active = true
first-attribute-index = true
newer-request-fields = true
structured-wrapped-keys = true
END
"${KMS_TEST_SERVER:-target/debug/kms-server}" dev --state "$state" --listen 127.0.0.1:0 --admin 127.0.0.1:0 --ready-file "$state/ready.json" \
    >"$state/server.log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null || true; rm -rf "$state"' EXIT
for _ in $(seq 300); do
    [ -f "$state/ready.json" ] && break
    kill -0 $server 2>/dev/null || { cat "$state/server.log"; exit 1; }
    sleep 0.1
done
port=$(sed -n 's/.*"listen": *"[^"]*:\([0-9]*\)".*/\1/p' "$state/ready.json" | head -1)

mkdir "$state/.pykmip"
cat >"$state/.pykmip/pykmip.conf" <<END
[client]
host=127.0.0.1
port=$port
keyfile=$state/pki/client.key
certfile=$state/pki/client.pem
cert_reqs=CERT_REQUIRED
ca_certs=$state/pki/ca.pem
do_handshake_on_connect=True
suppress_ragged_eofs=True
END
# Its tests are run as files, so that what is installed is tested and not what lies beside them.
suite=$(cd "$folder"/[Pp]y[Kk][Mm][Ii][Pp]-"$version"/kmip/tests/integration && pwd)
pytest=$PWD/$folder/venv/bin/pytest
cd "$state"
HOME=$state "$pytest" --import-mode=importlib -p no:cacheprovider -m "not ignore" -q --config client "$suite" "$@"
