#!/bin/bash
# The life of an installation, in a fresh root and without a network: install,
# serve, recommend, edit, upgrade, undo, erase. Called by test.sh within
# namespaces of its own:
#
#	lifecycle.sh ROOT REPO PACKAGE-OF-THE-UPGRADE FOREIGN-KEY
set -eu -o pipefail
root=$1 repo=$2 newer=$3 foreign=$4
cd "$(dirname "$0")/.."
log=$root.log
: >"$log"

say() { echo "  ok: $*"; }
die() {
	echo "test-rpm: $*" >&2
	tail -n 15 "$log" "$root/var/log/vitrine.log" 2>/dev/null >&2
	exit 1
}
why() { grep -iE 'gpg|checksum|signature' "$log" | tail -n 1; } # the last refusal, in the package manager's words
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN{printf "%.1f", b - a}'; }
dnf() {
	command dnf -y --installroot="$root" --releasever=7 --setopt=reposdir="$root/etc/yum.repos.d" --setopt=cachedir="$root.cache" \
		--setopt=plugins=0 --setopt=metadata_expire=0 "$@" >>"$log" 2>&1
}
systemctl() { chroot "$root" /usr/bin/systemctl "$@"; }
vitrine() { chroot "$root" /usr/bin/vitrine "$@"; }
version() { curl -s --unix-socket "$root/var/lib/vitrine/admin.sock" http://x/metrics >/dev/null && "$root/proc/$(cat "$root/run/vitrine.pid")/exe" version | cut -d' ' -f2; }
items() { curl -sf "http://127.0.0.1:8080/recommend?user_id=u1" | grep -o '"i[0-9]*"' | wc -l; }
await() { # WHAT COMMAND...
	what=$1
	shift
	for _ in $(seq 200); do
		if "$@" >/dev/null 2>&1; then return 0; fi
		sleep 0.1
	done
	die "$what"
}

mount --make-rprivate / 2>/dev/null || :
ip link set lo up
mkdir -p "$root/proc" "$root/dev" "$root/tmp" "$root/etc/yum.repos.d"
mount -t proc proc "$root/proc"
for node in null urandom; do : >"$root/dev/$node" && mount --bind /dev/$node "$root/dev/$node"; done
mount -t tmpfs -o noexec,mode=1777 tmpfs "$root/tmp"
cp "$repo/vitrine.repo" "$root/etc/yum.repos.d/"

# What must not be installed.
rpm --root "$root" --initdb
sed -i "s|^gpgkey=.*|gpgkey=file://$foreign|" "$root/etc/yum.repos.d/vitrine.repo"
! dnf install vitrine || die "a repository signed with another key is accepted"
say "another key: refused ($(why))"
cp "$repo/vitrine.repo" "$root/etc/yum.repos.d/"
good=$(ls "$repo"/vitrine-*.x86_64.rpm)
cp -p "$good" "$root.good"
truncate -s -1000000 "$good"
! dnf install vitrine || die "half a package is installed"
say "half a package: refused ($(why))"
cp -p "$root.good" "$good"
printf X | dd of="$good" bs=1 seek=5000000 conv=notrunc status=none
! dnf install vitrine || die "a package with a changed byte is installed"
cp -p "$root.good" "$good"
[ ! -e "$root/usr/bin/vitrine" ] || die "something of a refused package is there"
say "a changed byte: refused, nothing installed ($(why))"

# Install and serve.
begin=$(now)
dnf install vitrine || die "install failed"
[ ! -s "$root/run/vitrine.pid" ] || die "the installation started the service"
grep -q preset "$root/var/log/systemctl.log" || die "no preset on the first installation"
installed=$(since "$begin")
[ -z "$(rpm --root "$root" -V vitrine)" ] || die "rpm -V: $(rpm --root "$root" -V vitrine)"
vitrine configure --demo >>"$log"
grep -q '^VITRINE_OPTIONS=--demo' "$root/etc/sysconfig/vitrine" || die "configure --demo does not switch the demo shop on"
systemctl start vitrine || die "the service does not start"
[ "$(items)" = 20 ] || die "$(items) items, not 20"
took=$(since "$begin")
say "installed in $installed s, first recommendation of the demo shop after $took s"
awk -v t="$took" 'BEGIN{exit !(t <= 60)}' || echo "  MISSED: more than 60 s (the machine has a load of $(cut -d' ' -f1 /proc/loadavg))"
[ "$(version)" = 1.0.0 ] || die "version $(version)"
resident() { awk '/^VmRSS/{printf "%.0f", $2 / 1024 * 1.048576}' "$root/proc/$(cat "$root/run/vitrine.pid")/status"; } # MB
filled=$(resident)
systemctl stop vitrine
systemctl start vitrine || die "the service does not start again"
sleep 60
idle=$(resident)
say "resident with the demo shop: $filled MB when it was just filled and trained, $idle MB after a start and 60 s without requests"
[ "$idle" -le 150 ] || echo "  MISSED: more than 150 MB"
unowned=$(cd "$root" && find etc/vitrine etc/sysconfig usr -type f | while read -r f; do rpm --root "$root" -qf "/$f" >/dev/null 2>&1 || echo "/$f"; done)
[ -z "$unowned" ] || die "no package owns $unowned"
say "rpm -V is clean, every file is owned"

# Edit, reload; a configuration that is refused changes nothing.
printf '\n[recommend]\nlimit = 7\n' >>"$root/etc/vitrine/vitrine.toml"
systemctl reload vitrine
seven() { [ "$(items)" = 7 ]; }
await "a reload does not bring the new configuration" seven
printf '[recomend]\nlimit = 9\n' >"$root/etc/vitrine/conf.d/90-broken.toml"
systemctl reload vitrine
await "a refused configuration is not logged" grep -q '90-broken.toml:1: unknown table' "$root/var/log/vitrine.log"
[ "$(items)" = 7 ] || die "a refused configuration changed the answers"
say "reload takes a good configuration and names what is wrong with a bad one"

# Upgrade under the broken configuration: the old process goes on.
VERSION=1.1.0 RPM_OUT=$(dirname "$newer") RPM_REPO=$repo rpm/repo.sh >>"$log" 2>&1 || die "the repository is not made"
before=$(cat "$root/run/vitrine.pid")
dnf upgrade vitrine || die "upgrade failed"
[ "$(cat "$root/run/vitrine.pid")" = "$before" ] && [ "$(version)" = 1.0.0 ] || die "an upgrade with a broken configuration took the old process"
grep -q 'refuses the configuration' "$log" || die "the upgrade does not say why the old process goes on"
[ "$(items)" = 7 ] || die "no answers after the upgrade"
rm "$root/etc/vitrine/conf.d/90-broken.toml"
dnf history undo last || die "undo failed"
[ "$(version)" = 1.0.0 ] || die "version $(version) after undo"
say "upgrade with a broken configuration: the old process serves, and it is said why"

# Upgrade under requests.
curl -sf -X POST http://127.0.0.1:8080/v1/events -H 'Content-Type: application/json' -d '{"user_id":"kept","item_id":"i3","event_type":"cart"}' >/dev/null
(while :; do echo "$(now) $(curl -s -o /dev/null -m 1 -w '%{http_code}' 'http://127.0.0.1:8080/recommend?user_id=u1')"; sleep 0.02; done) >"$root.polls" &
polls=$!
dnf upgrade vitrine || die "upgrade failed"
[ "$(version)" = 1.1.0 ] || die "version $(version) after the upgrade"
sleep 1
kill $polls
outage=$(awk '$2 != 200 {if (!from) from = $1} $2 == 200 {if (from && $1 - from > longest) longest = $1 - from; from = 0} END{printf "%.2f", longest}' "$root.polls")
say "upgrade 1.0.0 -> 1.1.0: answers were out for $outage s of $(wc -l <"$root.polls") requests"
awk -v t="$outage" 'BEGIN{exit !(t <= 5)}' || echo "  MISSED: more than 5 s (the machine has a load of $(cut -d' ' -f1 /proc/loadavg))"
[ "$(items)" = 7 ] || die "the edited configuration is lost"

# A model of the newer version, then back.
vitrine train >>"$log" 2>&1 || die "training failed"
dnf history undo last || die "undo failed"
[ "$(version)" = 1.0.0 ] && [ "$(items)" = 7 ] || die "the older version does not serve what the newer one wrote"
curl -sf http://127.0.0.1:8080/v1/users/kept/history | grep -q '"i3"' || die "an event from before the upgrade is lost"
changes=$(rpm --root "$root" -V vitrine || :)
[ "$(echo "$changes" | grep -vc '  c /etc/')" = 0 ] || die "rpm -V: $changes"
say "undo: 1.0.0 serves the data and the model of 1.1.0; edits are kept"

# RESTART_ON_UPGRADE=no.
sed -i 's/^RESTART_ON_UPGRADE=.*/RESTART_ON_UPGRADE=no/' "$root/etc/sysconfig/vitrine"
dnf upgrade vitrine || die "upgrade failed"
[ "$(version)" = 1.0.0 ] || die "RESTART_ON_UPGRADE=no restarts"
say "RESTART_ON_UPGRADE=no: the old process goes on"

# Without its user the service cannot start; preflight says how to get it back.
cp "$root/etc/passwd" "$root.passwd"
sed -i '/^vitrine:/d' "$root/etc/passwd"
vitrine preflight --lang en >"$root.preflight" && die "a missing user does not block"
grep -q 'yum reinstall vitrine' "$root.preflight" || die "a missing user: $(cat "$root.preflight")"
cp "$root.passwd" "$root/etc/passwd"
say "a missing user: named by preflight, with the way to get it back"

# Erase.
data=$(find "$root/var/lib/vitrine/archive" -name '*.parquet' | wc -l)
dnf remove vitrine || die "erase failed"
! systemctl is-active vitrine || die "the service runs on after it was erased"
[ ! -e "$root/usr/bin/vitrine" ] && [ ! -e "$root/usr/share/vitrine" ] && [ ! -e "$root/usr/share/doc/vitrine" ] || die "files are left"
grep -q 'limit = 7' "$root/etc/vitrine/vitrine.toml.rpmsave" || die "the edited configuration is not kept"
[ "$(find "$root/var/lib/vitrine/archive" -name '*.parquet' | wc -l)" -ge "$data" ] && [ "$data" -gt 0 ] || die "data are lost"
! grep -qE '(^| )(enable|start|restart) ' <(grep -v '^start vitrine$' "$root/var/log/systemctl.log") || die "a scriptlet enables or starts"
say "erase: stopped, files gone, edits in .rpmsave, data stay"
