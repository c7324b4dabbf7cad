# Shared by build.sh, repo.sh and test.sh, which run in the checkout's root.

# need PACKAGE... installs Debian packages whose tools are missing.
need() {
	missing=
	for package in "$@"; do
		case $package in
		rpm) tool=rpmbuild ;;
		createrepo-c) tool=createrepo_c ;;
		busybox-static) tool=busybox ;;
		iproute2) tool=ip ;;
		systemd) tool=systemd-analyze ;;
		*) tool=$package ;;
		esac
		command -v $tool >/dev/null || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
		echo "rpm: these packages (by their Debian names) are needed:$missing" >&2
		exit 1
	fi
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# The version: the tag v1.2.3 is 1.2.3, the fourth commit after it 1.2.3.4,
# without any tag 0.0.N. So later commits are newer to rpm, too.
rpm_version() {
	if tag=$(git describe --tags --long --match 'v[0-9]*' 2>/dev/null); then
		commits=${tag%-g*}
		base=${commits%-*}
		base=$(echo "${base#v}" | tr - '~')
		case ${commits##*-} in
		0) echo "$base" ;;
		*) echo "$base.${commits##*-}" ;;
		esac
	else
		echo "0.0.$(git rev-list --count HEAD)"
	fi
}

# open_keys makes GNUPGHOME with the signing key: the secret key in the file
# RPM_SIGN_KEY (without a passphrase), or a throw-away one that this checkout
# keeps. Sets key, its fingerprint, and signing_time.
#
# Signatures hold the time of the commit (of the key, if that is younger), so
# that packages built again with the same key are the same, bit by bit.
open_keys() {
	GNUPGHOME=$(mktemp -d) # short: an agent's socket lies in it
	export GNUPGHOME
	secret=${RPM_SIGN_KEY:-}
	if [ -z "$secret" ]; then
		secret=var/rpm/throw-away.key
		if [ ! -s $secret ]; then
			mkdir -p var/rpm
			echo "rpm: RPM_SIGN_KEY names no key: a throw-away key is made, $secret" >&2
			gpg --batch --quiet --faked-system-time "$SOURCE_DATE_EPOCH!" --pinentry-mode loopback --passphrase '' \
				--quick-generate-key 'Vitrine throw-away key' rsa4096 sign never 2>/dev/null
			(umask 077 && gpg --batch --armor --pinentry-mode loopback --passphrase '' --export-secret-keys >$secret)
		fi
	fi
	gpg --batch --quiet --import "$secret" 2>/dev/null || { echo "rpm: $secret holds no secret key" >&2; exit 1; }
	record=$(gpg --batch --list-secret-keys --with-colons 2>/dev/null | grep '^sec:')
	key=$(gpg --batch --list-secret-keys --with-colons | awk -F: '/^fpr:/{print $10; exit}')
	# rpm 4.11 takes neither elliptic curves nor signing subkeys.
	case $(echo "$record" | cut -d: -f3,4) in
	3072:1 | 4096:1 | 8192:1) ;;
	*) echo "rpm: the key in $secret is no RSA key of 3072 bits or more, which rpm 4.11 needs" >&2; exit 1 ;;
	esac
	signing_time=$(echo "$record" | cut -d: -f6)
	[ "$signing_time" -gt "$SOURCE_DATE_EPOCH" ] || signing_time=$SOURCE_DATE_EPOCH
}

close_keys() {
	gpgconf --kill all 2>/dev/null || :
	rm -rf "$GNUPGHOME"
}

# quiet COMMAND... shows what a command says only if it fails.
quiet() { said=$("$@" 2>&1) || { echo "$said" >&2; return 1; }; }

# sign_rpm FILE... signs header and payload, as rpm 4.11 checks them.
sign_rpm() {
	for file in "$@"; do
		GPG_TTY=/dev/null quiet rpmsign --addsign --rpmv3 --define "__gpg $(command -v gpg)" --define "_gpg_name $key" --define '_gpg_digest_algo sha256' \
			--define "_gpg_sign_cmd_extra_args --batch --pinentry-mode loopback --faked-system-time $signing_time!" "$file"
	done
}
