#!/bin/sh
# Builds the image of the folder ROOT that stage.sh laid out, without a
# network, and looks at it as a user id that nobody has heard of; the
# storage is made in WORK and taken away again:
#
#	test.sh ROOT WORK
set -eu
root=$1 work=$2
cd "$(dirname "$0")/../.."
image() { buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }
rm -rf "$work"
image build --quiet --isolation chroot -f ops/container/Containerfile -t vitrine:test "$root" >/dev/null
container=$(image from vitrine:test)
trap 'image rm "$container" >/dev/null; rm -rf "$work"' EXIT
vitrine() { image run --isolation chroot --user 1000660000:0 "$container" -- /usr/bin/vitrine "$@"; }
! vitrine config check 2>"$work/refused" || { echo "image: it would listen without a key" >&2; exit 1; }
grep -q 'vitrine key new NAME' "$work/refused"
vitrine key new web --scope recommend >/dev/null
vitrine config check
echo "  ok: image built ($(du -sm "$root" | cut -f1) MB), any user id writes its data, it refuses to listen without a key"
