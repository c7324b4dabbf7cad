#!/bin/sh
# Makes RPM_REPO (dist/repo) a yum repository of the packages in dist and those
# it had before, the newest three versions of each architecture: "yum history
# undo" needs the package that it goes back to. Packages and metadata are
# signed; any web server, or file://, can serve the folder.
set -eu
umask 022
cd "$(dirname "$0")/.."
. rpm/lib.sh
need rpm createrepo-c gpg

from=${RPM_OUT:-dist}
repo=${RPM_REPO:-dist/repo}
url=${RPM_REPO_URL:-file://$(mkdir -p "$repo" && cd "$repo" && pwd)}
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
ls "$from"/vitrine-"${VERSION:-$(rpm_version)}"-*.rpm >/dev/null 2>&1 || rpm/build.sh # of this commit
mkdir -p "$repo"
cp -p "$from"/vitrine-*.rpm "$repo/"
for arch in x86_64 aarch64; do
	ls "$repo"/vitrine-*."$arch".rpm 2>/dev/null | sort -rV | tail -n +4 | while read -r old; do rm -f "$old"; done
done

rm -rf "$repo/repodata"
# yum 3.4.3 reads gz and sha256; newer versions of createrepo_c have other defaults.
createrepo_c --quiet --checksum sha256 --compress-type gz --general-compress-type gz --no-database --simple-md-filenames \
	--revision "$SOURCE_DATE_EPOCH" --set-timestamp-to-revision "$repo"

open_keys
trap close_keys EXIT
quiet gpg --batch --armor --pinentry-mode loopback --faked-system-time "$signing_time!" --local-user "$key" \
	--output "$repo/repodata/repomd.xml.asc" --detach-sign "$repo/repodata/repomd.xml"
gpg --batch --armor --export "$key" >"$repo/RPM-GPG-KEY-vitrine"
cat >"$repo/vitrine.repo" <<END
# Copy to /etc/yum.repos.d/ and name the place of the repository below, twice.
[vitrine]
name=Vitrine
baseurl=$url
gpgkey=$url/RPM-GPG-KEY-vitrine
gpgcheck=1
repo_gpgcheck=1
enabled=1
END
echo "rpm: repository $repo: $(ls "$repo" | grep -c '\.rpm$') packages"
