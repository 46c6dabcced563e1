#!/usr/bin/env bash
# Runs a build's files on Arm, as a Raspberry Pi of 64 bits would, in an emulated Debian:
#     tests/on_arm.sh OUT PICTURE
# OUT is a build with the bundled backbone. What light.txt names is put into a folder, in packages for
# Arm; the self-test of the snippet, predict, verify and edit run there, and the answers are held
# against this machine's. It takes some minutes, and needs root, debootstrap, and qemu-aarch64 of
# version 8 or later registered with binfmt_misc (Debian 13: apt-get install qemu-user-binfmt).
set -euo pipefail
out=$(realpath "$1") picture=$(realpath "$2")
cd "$(dirname "$0")/.."
root=build/arm python=.venv/bin/python

skip() {
    echo "nothing is run on Arm: $1"
    exit 0
}

[ "$(id -u)" = 0 ] || skip "a system in a folder needs root"
command -v debootstrap > /dev/null || skip "there is no debootstrap"
grep -q enabled /proc/sys/fs/binfmt_misc/qemu-aarch64 2> /dev/null || skip "no qemu-aarch64 is registered"
if [ ! -e $root/.complete ]; then
    rm -rf $root
    debootstrap --arch=arm64 --variant=minbase --include=python3 trixie $root \
        "${MIRROR:-http://deb.debian.org/debian}" > build/arm.log 2>&1 ||
        skip "debootstrap ended with: $(tail -n 1 build/arm.log)"
    touch $root/.complete
fi

# By this machine's pip, which is twenty times as fast as an emulated one.
for glibc in 2_28 2_27 2_26 2_17; do platforms+=(--platform "manylinux_${glibc}_aarch64"); done
rm -rf $root/packages $root/work
mkdir -p $root/work
$python -m pip install --quiet --no-compile --only-binary=:all: --python-version 3.13 \
    "${platforms[@]}" --platform manylinux2014_aarch64 --platform any --target $root/packages \
    --constraint constraints.txt --requirement light.txt
$python -m pip install --quiet --no-compile --no-deps --target $root/packages dist/*.whl 2> /dev/null
cp -r "$out" $root/work/out
cp "$picture" "$root/work/$(basename "$picture")"

unshare --mount bash -euc '
    root=$1
    shift
    for system in proc dev sys; do mount --rbind /$system "$root/$system"; done
    exec chroot "$root" env HOME=/root TMPDIR=/tmp PYTHONPATH=/packages bash -euc "$@"
' - $root '
    cd /work
    pocketknn() { python3 -c "from pocketknn.export.cli.entry import main; main()" "$@"; }
    echo "$(uname -m), Python $(python3 -c "import platform; print(platform.python_version())")"
    python3 out/snippets/classify.py
    for end in tflite onnx mlpackage; do pocketknn predict out/model.$end "$1" --json > $end.json; done
    pocketknn verify out
    pocketknn edit out/model.tflite --remove "$(sed -n 2p out/references.csv | cut -d\" -f2)" --out new.tflite
' - "$(basename "$picture")"

for end in tflite onnx mlpackage; do
    .venv/bin/pocketknn predict "$out/model.$end" "$picture" --json > $root/work/here.json
    $python - $root/work/$end.json $root/work/here.json << 'P'
import json, sys
there, here = (json.load(open(path))[0] for path in sys.argv[1:])
places = [[one["index"] for one in answer["neighbors"]] for answer in (there, here)]
error = max(abs(a["score"] - b["score"]) for a, b in zip(there["neighbors"], here["neighbors"]))
print(f"{sys.argv[1]}: the same neighbours: {places[0] == places[1]}, scores within {error:.1e}")
sys.exit(places[0][0] != places[1][0] or error > 1e-2)
P
done
