#!/bin/sh
# Lays out the root of the image:
#
#	stage.sh BINARY PLUGINS ROOT
#
# ROOT is made anew; PLUGINS is a folder of ready plugins.
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)
binary=$1 plugins=$2 root=$3
rm -rf "$root"
mkdir -p "$root/usr/bin" "$root/usr/share/vitrine/plugins" "$root/etc/vitrine/conf.d" "$root/var/lib/vitrine" "$root/tmp"
cp "$binary" "$root/usr/bin/vitrine"
cp "$here/vitrine.toml" "$root/etc/vitrine/"
find "$plugins" -maxdepth 1 -type f -exec cp {} "$root/usr/share/vitrine/plugins/" \;
echo 'vitrine:x:10001:0:Vitrine:/var/lib/vitrine:/sbin/nologin' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"
find "$root" -type f -exec chmod 644 {} +
chmod 755 "$root/usr/bin/vitrine"
# Whoever runs it is in group 0.
chmod 770 "$root/var/lib/vitrine"
chmod 1777 "$root/tmp"
