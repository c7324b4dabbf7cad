#!/bin/sh
# Builds dist/vitrine-VERSION-1.el7.ARCH.rpm for every ARCH in RPM_ARCHES
# (x86_64 aarch64), signed with RPM_SIGN_KEY or a throw-away key, and beside
# them dist/RPM-GPG-KEY-vitrine. VERSION is the tag's unless it is set.
set -eu
umask 022
cd "$(dirname "$0")/.."
. rpm/lib.sh
need rpm gpg

VERSION=${VERSION:-$(rpm_version)}
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
out=${RPM_OUT:-dist}
work=${RPM_WORK:-var/rpm/build}
rm -rf "$work"
mkdir -p "$work" "$out"
work=$(cd "$work" && pwd)

compile() { # GOARCH FILE
	CGO_ENABLED=0 GOOS=linux GOARCH=$1 GOAMD64=v1 GOFLAGS=-buildvcs=false \
		go build -pgo=auto -trimpath -ldflags "-s -w -X main.version=$VERSION" -o "$2" ./cmd/vitrine
}

# What is the same for every architecture comes from this machine's binary.
echo "rpm: vitrine $VERSION"
compile "$(go env GOHOSTARCH)" "$work/vitrine"
common=$work/common
mkdir -p "$common/man" "$common/completion" "$common/doc/docs" "$common/bench" "$common/ops"
"$work/vitrine" manual "$common/man"
gzip -9n "$common"/man/*.1
for shell in bash zsh fish; do "$work/vitrine" completion $shell >"$common/completion/$shell"; done
cp rpm/vitrine.service rpm/vitrine.tmpfiles rpm/vitrine.firewalld.xml rpm/vitrine.toml rpm/vitrine.sysconfig "$common/"
cp README.md CHANGELOG.md "$common/doc/"
cp docs/*.md "$common/doc/docs/"
cp appliance/bench/pluginlive/modules/*.wasm "$common/bench/"
gzip -dc appliance/bench/scorer/scorer.wasm.gz >"$common/bench/scorer.wasm"
cp -r ops/*.json ops/*.yml ops/kubernetes ops/container "$common/ops/"
rm "$common/ops/container/test.sh" "$common/ops/container/build.sh"
make -s plugins
cp -r dist/plugins "$common/"

for arch in ${RPM_ARCHES:-x86_64 aarch64}; do
	case $arch in
	x86_64) goarch=amd64 ;;
	aarch64) goarch=arm64 ;;
	*) echo "rpm: there is no package for $arch: x86_64 or aarch64" >&2; exit 1 ;;
	esac
	stage=$work/$arch
	cp -r "$common" "$stage"
	if [ "$goarch" = "$(go env GOHOSTARCH)" ]; then cp "$work/vitrine" "$stage/"; else compile $goarch "$stage/vitrine"; fi
	go run ./rpm/bom -binary "$stage/vitrine" -version "$VERSION" -dir "$stage/doc"
	quiet rpmbuild --quiet -bb --target $arch-linux --define "_topdir $work/top-$arch" --define "_rpmdir $work/rpms" \
		--define "vitrine_version $VERSION" --define "stage $stage" --define "source_date_epoch $SOURCE_DATE_EPOCH" rpm/vitrine.spec
done

open_keys
trap close_keys EXIT
sign_rpm "$work"/rpms/*/*.rpm
gpg --batch --armor --export "$key" >"$out/RPM-GPG-KEY-vitrine"
for arch in ${RPM_ARCHES:-x86_64 aarch64}; do
	rm -f "$out"/vitrine-*."$arch".rpm # exactly one: the newest
	mv "$work/rpms/$arch/vitrine-$VERSION-1.el7.$arch.rpm" "$out/"
	ls -l "$out/vitrine-$VERSION-1.el7.$arch.rpm" | awk '{printf "%s  %.1f MB\n", $NF, $5 / 1e6}'
done
