#!/bin/bash
# Types the shell blocks of docs/OPERATIONS.md, in their order, as root on a
# copy-on-write view of this machine that has a repository and no network. A
# block that begins with "# not run by the tests" or "# run by make test-real" is
# passed over. Called by test.sh within namespaces of its own:
#
#	walk.sh WORK REPO PACKAGE-OF-THE-UPGRADE SECRET-KEY
set -eu -o pipefail
work=$1 repo=$2 newer=$3 secret=$4
cd "$(dirname "$0")/.."
host=$work/host here=/root/walk
die() {
	echo "test-rpm: $*" >&2
	exit 1
}

mount --make-rprivate / 2>/dev/null || :
ip link set lo up
mkdir -p "$host"
mount -t tmpfs tmpfs "$host"
mkdir "$host/upper" "$host/work" "$host/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$host/upper,workdir=$host/work" "$host/root" || die "an overlay cannot be mounted here"
root=$host/root
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind /sys "$root/sys"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/var/log" "$root/etc/yum.repos.d" "$root$here/dist"
rm -rf "$root/var/lib/vitrine" "$root/etc/vitrine" "$root/var/lib/rpm" "$root/usr/bin/systemctl"

# What stands in for a RHEL host: its package manager's name, systemctl, and a
# package that says that the rest of Debian is there.
install -m 755 rpm/testroot/systemctl "$root/usr/bin/systemctl"
ln -sf "$(command -v busybox)" "$root/usr/local/bin/wget"
printf '#!/bin/sh\nexec dnf -y --releasever=7 --setopt=metadata_expire=0 --setopt=plugins=0 "$@"\n' >"$root/usr/local/bin/yum"
chmod 755 "$root/usr/local/bin/yum"
quiet() { said=$("$@" 2>&1) || { echo "$said" >&2; return 1; }; }
quiet rpmbuild --quiet -bb --define "_topdir $work/walk-top" --define "_rpmdir $work/walk-rpms" rpm/testroot/host.spec
rpm --root "$root" --initdb
quiet rpm --root "$root" -i --nodeps --nosignature "$work"/walk-rpms/*/testhost-*.rpm

# What the reader has in his folder.
cp -r "$repo" "$root$here/dist/repo"
sed "s|file://$repo|file://$here/dist/repo|" "$repo/vitrine.repo" >"$root$here/vitrine.repo"
cp "$repo/RPM-GPG-KEY-vitrine" "$root$here/"
cp "$secret" "$root$here/secret.key"
upgrade() { # the repository has a newer package from now on
	RPM_OUT=$(dirname "$newer") VERSION=1.1.0 RPM_REPO=$root$here/dist/repo RPM_SIGN_KEY=$secret quiet rpm/repo.sh
}

type_block() { # FIRST-LINE TEXT
	if [[ $2 == "# not run by the tests"* || $2 == "# run by make test-real"* ]]; then
		passed=$((passed + 1))
		return
	fi
	[[ $2 != *"yum upgrade"* ]] || upgrade
	# An empty line is an answer that keeps what is in force.
	if ! chroot "$root" /bin/sh -ec "cd $here"$'\n'"$2" < <(yes '') >"$work/walk.out" 2>&1; then
		cat "$work/walk.out" >&2
		tail -n 5 "$root/var/log/vitrine.log" >&2 2>/dev/null || :
		die "docs/OPERATIONS.md:$1: this fails:
$2"
	fi
	run=$((run + 1))
}
run=0 passed=0 number=0 block='' inside=
while IFS= read -r line; do
	number=$((number + 1))
	case $inside$line in
	'```sh') inside=y first=$((number + 1)) block='' ;;
	'y```') inside='' && type_block "$first" "$block" ;;
	y*) block+=$line$'\n' ;;
	esac
done <docs/OPERATIONS.md
[ "$run" -ge 8 ] || die "only $run blocks of docs/OPERATIONS.md are run"
chroot "$root" /usr/bin/systemctl stop vitrine
echo "  ok: $run blocks of docs/OPERATIONS.md do what they say, $passed need what Debian does not have"
