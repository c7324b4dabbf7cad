#!/bin/bash
# Every test of the package: see the headings. As root, for it makes roots and
# namespaces; on Debian the tools are installed when they are missing.
set -eu -o pipefail
umask 022
cd "$(dirname "$0")/.."
. rpm/lib.sh
need rpm gpg dnf createrepo-c rpmlint busybox-static curl iproute2 systemd buildah
work=$PWD/var/rpm/test
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"/root "$work"/root.cache' EXIT
began=$(date +%s)
step() { echo "== $* ($(($(date +%s) - began)) s)"; }
die() { echo "test-rpm: $*" >&2; exit 1; }

step "unit, scriptlets, materials"
go vet ./rpm/...
go test -count=1 ./rpm/...

step "two versions, one of them twice"
build() { VERSION=$1 RPM_OUT=$work/$2 RPM_WORK=$work/build-$2 RPM_ARCHES=x86_64 rpm/build.sh; }
build 1.0.0 old
build 1.0.0 again
build 1.1.0 new
cmp "$work"/old/*.rpm "$work"/again/*.rpm || die "built twice, the packages differ"
echo "  ok: built twice bit-identical, signature included"

step "header"
ls -l "$work"/old/*.rpm | awk '{printf "  ok: %s bytes, at most 25 MB\n", $5}'
VITRINE_RPM=$(echo "$work"/old/*.rpm) go test -count=1 -run TestHeader ./rpm

said=$(rpmlint --strict -c rpm/rpmlint.toml "$work"/old/*.rpm 2>&1) || die "rpmlint: $(grep -E ': [EW]: ' <<<"$said")"
! grep -E ': [EW]: ' <<<"$said" || die "rpmlint has something to say"
echo "  ok: rpmlint has nothing to say but what rpm/rpmlint.toml gives reasons for"

# What is replaced by a folder lies in this repository.
linked=$(go version -m "$work/build-old/vitrine" | awk '$1 == "dep" {if (m) print m; m = $2 "@" $3} $1 == "=>" {m = $2 ~ /^\./ ? "" : $2 "@" $3} END {if (m) print m}' | sort)
listed=$(grep -o '"purl": "pkg:golang/[^"]*"' "$work/build-old/x86_64/doc/sbom.cdx.json" | cut -d/ -f2- | tr -d '"' | grep -v '^std@' | sort)
[ "$linked" = "$listed" ] || die "the bill of materials is not what is linked"
for module in $linked; do ls "$work/build-old/x86_64/doc/licences/${module%@*}"/* >/dev/null || die "no licence of $module"; done
echo "  ok: bill of materials and licences of $(echo "$linked" | wc -l) modules"

step "signature"
keys() { rpmkeys --dbpath "$work/rpmdb" "$@"; }
keys --import "$work/old/RPM-GPG-KEY-vitrine"
checked=$(keys -Kv "$work"/old/*.rpm)
[ "$(echo "$checked" | grep -c 'Signature.*OK')" -ge 2 ] && ! echo "$checked" | grep -q BAD || die "signatures: $checked"
cp "$work"/old/*.rpm "$work/flipped.rpm"
printf X | dd of="$work/flipped.rpm" bs=1 seek=5000000 conv=notrunc status=none
checked=$(keys -Kv "$work/flipped.rpm" || :)
echo "$checked" | grep -q 'Signature.*BAD' || die "a changed byte of the payload passes: $checked"
cp "$work"/old/*.rpm "$work/unsigned.rpm"
rpmsign --delsign "$work/unsigned.rpm" >/dev/null 2>&1
! keys -Kv "$work/unsigned.rpm" | grep -q Signature.*OK || die "an unsigned package has a signature"
echo "  ok: header and payload signed, a changed byte found"

step "unit under this systemd"
mkdir -p "$work/unit/usr/lib/systemd/system" "$work/unit/usr/bin" "$work/unit/bin"
cp rpm/vitrine.service "$work/unit/usr/lib/systemd/system/"
for unit in sysinit basic multi-user network time-sync shutdown; do printf '[Unit]\nDescription=%s\n' $unit >"$work/unit/usr/lib/systemd/system/$unit.target"; done
cp "$work/build-old/vitrine" "$work/unit/usr/bin/"
cp "$(command -v kill || echo /bin/kill)" "$work/unit/bin/kill" 2>/dev/null || cp /bin/kill "$work/unit/bin/kill"
complaints=$(systemd-analyze verify --man=no --root="$work/unit" vitrine.service 2>&1 || :)
[ -z "$complaints" ] || die "systemd-analyze verify: $complaints"
echo "  ok: $(systemd-analyze --version | head -1) has nothing to say"

step "container image"
ops/container/stage.sh "$work/build-old/vitrine" "$work/build-old/common/plugins" "$work/image"
ops/container/test.sh "$work/image" "$work/containers"

step "without the system calls newer than kernel 3.10"
CGO_ENABLED=0 go build -o "$work/confine" ./rpm/confine
"$work/confine" kernel "$work/build-old/vitrine" serve --demo --data "$work/3.10" --set http.listen=127.0.0.1:0 --set http.admin_listen=127.0.0.1:0 >"$work/3.10.out" 2>"$work/3.10.log" &
daemon=$!
for _ in $(seq 1200); do [ -s "$work/3.10.out" ] || sleep 0.1; done
answer=$("$work/confine" kernel "$work/build-old/vitrine" recommend u1 -n 5 --json --data "$work/3.10") || die "no answer: $(tail -3 "$work/3.10.log")"
kill $daemon
wait $daemon || die "no clean stop: $(tail -3 "$work/3.10.log")"
[ "$(echo "$answer" | grep -c '"item_id"')" = 5 ] || die "not 5 items: $answer"
grep -q '"source": *"live"' <<<"$answer" || die "not live: $answer"
echo "  ok: demo shop trained, live answer, clean stop"

step "start with a large model"
rpm/start.sh "$work/large" "$work/build-old/vitrine"

step "install, serve, edit, upgrade, undo, erase in a fresh root"
repo=$work/repo root=$work/root
mkdir -p "$repo" "$work/foreign" "$root"
quiet rpmbuild --quiet -bb --define "_topdir $work/top" --define "_rpmdir $work/rpms" --define "shims $PWD/rpm/testroot" rpm/testroot/root.spec
mkdir -p "$work/tools"
cp "$work"/rpms/*/testroot-*.rpm "$work/tools/"
rpm --root "$root" --initdb
quiet rpm --root "$root" -i --nodeps --nosignature "$work"/tools/testroot-*.rpm
VERSION=1.0.0 RPM_OUT=$work/old RPM_REPO=$repo rpm/repo.sh
GNUPGHOME=$(mktemp -d)
export GNUPGHOME
gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-generate-key 'Somebody else' rsa3072 sign never 2>/dev/null
gpg --batch --armor --export >"$work/foreign/key"
gpgconf --kill all
rm -rf "$GNUPGHOME"
unset GNUPGHOME
"$work/build-old/vitrine" bundle create "$work/vitrine.bundle" --repo "$repo" --key "${RPM_SIGN_KEY:-var/rpm/throw-away.key}" >/dev/null
"$work/build-old/vitrine" bundle verify "$work/vitrine.bundle" --key "$work/old/RPM-GPG-KEY-vitrine" | grep -q 'all as they were packed' || die "the bundle is not verified"
! "$work/build-old/vitrine" bundle verify "$work/vitrine.bundle" --key "$work/foreign/key" 2>/dev/null || die "a bundle of somebody else passes"
head -c 9000000 "$work/vitrine.bundle" >"$work/half.bundle"
! "$work/build-old/vitrine" bundle install "$work/half.bundle" 2>"$work/half.err" || die "half a bundle is installed"
grep -q torn "$work/half.err" || die "half a bundle: $(cat "$work/half.err")"
"$work/build-old/vitrine" bundle install --dry-run "$work/vitrine.bundle" --key "$work/old/RPM-GPG-KEY-vitrine" >/dev/null
echo "  ok: bundle packed and verified; another key and half a bundle refused"
unshare --mount --net --pid --fork --kill-child rpm/lifecycle.sh "$root" "$repo" "$(echo "$work"/new/*.rpm)" "$work/foreign/key"

step "docs/OPERATIONS.md, block by block"
rm -rf "$repo"
mkdir -p "$repo"
VERSION=1.0.0 RPM_OUT=$work/old RPM_REPO=$repo rpm/repo.sh
unshare --mount --net --pid --fork --kill-child rpm/walk.sh "$work" "$repo" "$(echo "$work"/new/*.rpm)" "$(readlink -f "${RPM_SIGN_KEY:-var/rpm/throw-away.key}")"

step "done"
