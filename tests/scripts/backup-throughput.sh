#!/bin/sh
# Backup and restore by kms-client beside tar, zstd and rage on the same data: seconds, MB/s, and the most memory of one process.
#   backup-throughput.sh                 1,000 MB in the system's temporary folder, three rounds
#   backup-throughput.sh MB FOLDER N     so many megabytes in FOLDER (/dev/shm leaves the disk out), N rounds
# Needs tar, zstd, GNU time (/usr/bin/time) and rage (KMS_TESTS_RAGE, or where .ci/run installs it). Run it on a quiet machine.
set -eu
cd "$(dirname "$0")/../.."
megabytes="${1:-1000}"
parent="${2:-${TMPDIR:-/tmp}}"
rounds="${3:-3}"
rage="${KMS_TESTS_RAGE:-$PWD/target/interop/bin/rage}"
for program in tar zstd /usr/bin/time "$rage" "$rage-keygen"; do
    command -v "$program" >/dev/null || { echo "backup-throughput.sh: $program is not there" >&2; exit 2; }
done
cargo build --quiet --release --package kms-server --package kms-client
programs="$PWD/target/release"
work="$(mktemp -d "$parent/backup-throughput.XXXXXX")"
server=
trap 'test -z "$server" || kill "$server"; rm -rf "$work"' EXIT
cd "$work"

# Half in large files and half in files of 100 kB; half of each is noise, half compresses well.
mkdir data
make() { # NAME BYTES
    half=$(($2 / 2))
    { head -c "$half" /dev/urandom; yes "$1 is a line of text that comes again and again" | head -c "$half"; } >"data/$1"
}
for number in 1 2 3 4; do make "large $number" $((megabytes * 125000)); done
number=0
while [ "$number" -lt $((megabytes * 5)) ]; do
    make "small $number" 100000
    number=$((number + 1))
done
bytes=$(du -sb data | cut -f1)

"$programs/kms-server" dev --state kms --listen 127.0.0.1:0 --admin 127.0.0.1:0 --ready-file ready >server.log 2>&1 &
server=$!
while [ ! -s ready ]; do sleep 0.1; done
client() { "$programs/kms-client" --state state --profile kms/client.toml "$@"; }
client server add lab >/dev/null 2>&1
client job create rsa >/dev/null 2>&1
client job create curve --key p-256 >/dev/null 2>&1
"$rage-keygen" -o identity 2>/dev/null
recipient=$("$rage-keygen" -y identity)

measure() { # WHAT COMMAND...
    what="$1"
    shift
    sync
    begun=$(date +%s.%N)
    /usr/bin/time -f %M -o memory "$@" >/dev/null 2>&1 || { echo "$what failed" >&2; exit 1; }
    ended=$(date +%s.%N)
    tail -n 1 memory | awk -v what="$what" -v begun="$begun" -v ended="$ended" -v bytes="$bytes" \
        '{ s = ended - begun; printf "%-28s %7.2f s %8.0f MB/s %7.0f MB of memory\n", what, s, bytes / 1e6 / s, $1 / 1000 }'
}
tool_backup="tar c data | zstd -q -3 -T0 | '$rage' -r $recipient -o tools.age && sync tools.age"
tool_backup_1="tar c data | zstd -q -3 -T1 | '$rage' -r $recipient -o tools.age && sync tools.age"
tool_restore="mkdir tools && '$rage' -d -i identity tools.age | zstd -q -d | tar x -C tools && sync"

echo "$bytes bytes, $(find data -type f | wc -l) files, $(nproc) cores"
round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    rm -rf backups tools restored tools.age
    measure "tar | zstd -T1 | rage" sh -c "$tool_backup_1"
    measure "tar | zstd -T0 | rage" sh -c "$tool_backup"
    for job in rsa curve; do
        measure "kms-client backup, $job" "$programs/kms-client" --state state --profile kms/client.toml backup --full "$job" data --to backups
    done
    measure "rage | zstd | tar" sh -c "$tool_restore"
    for job in rsa curve; do
        rm -rf restored
        measure "kms-client restore, $job" "$programs/kms-client" --state state --profile kms/client.toml restore backups/"$job"-*.chain --to restored
    done
done
diff -r data restored/data && echo "what was restored is what was backed up"
