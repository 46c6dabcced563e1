#!/usr/bin/env bash
# Runs tests on the Python of another release of Debian, which is put into a folder:
#     tests/on_debian.sh                  the quick tests on trixie's Python 3.13
#     tests/on_debian.sh trixie tests     all of them
# ROOT names a folder with another system whose python3 has venv, and make.
# It needs root, debootstrap and a mirror; without them it says so and ends well. Tests of real photos
# run where POCKETKNN_DATA, or ../shared/data, holds them.
set -euo pipefail
cd "$(dirname "$0")/.."
release=${1:-trixie}
what=test-quick
if [ $# -gt 1 ]; then what=test; fi
root=${ROOT:-build/debian-$release}

skip() {
    echo "the tests on Debian's $release are skipped: $1"
    exit 0
}

[ "$(id -u)" = 0 ] || skip "a system in a folder needs root"
for program in debootstrap unshare chroot; do
    command -v $program > /dev/null || skip "there is no $program"
done
mkdir -p build
if [ -z "${ROOT:-}" ] && [ ! -e "$root/.complete" ]; then
    rm -rf "$root"
    debootstrap --variant=minbase --include=python3,python3-venv,make,ca-certificates \
        "$release" "$root" "${MIRROR:-http://deb.debian.org/debian}" > "build/$release.log" 2>&1 ||
        skip "debootstrap ended with: $(tail -n 1 "build/$release.log")"
    touch "$root/.complete"
fi

# As git has this folder, changes included; what was installed there before is kept.
mkdir -p "$root/pocketknn"
git ls-files --cached --others --exclude-standard -z |
    tar --create --null --files-from=- --ignore-failed-read 2> /dev/null |
    tar --extract --directory "$root/pocketknn"
cp /etc/resolv.conf "$root/etc/"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
data=$(realpath -m "${POCKETKNN_DATA:-../shared/data}")
there=/no-data
if [ -d "$data" ]; then
    there=/data
    mkdir -p "$root/data"
fi

# In a mount namespace of its own: what is mounted goes when the tests end, however they end.
exec unshare --mount bash -euc '
    root=$1 data=$2 there=$3
    shift 3
    for system in proc sys dev; do mount --rbind /$system "$root/$system"; done
    if [ -d "$data" ]; then mount --bind "$data" "$root/data"; fi
    exec chroot "$root" env HOME=/root TMPDIR=/tmp POCKETKNN_DATA="$there" \
        PATH=/usr/sbin:/usr/bin:/sbin:/bin make --directory /pocketknn "$@"
' - "$root" "$data" "$there" PYTHON=python3 "$what" "TESTS=${*:2}"
