#!/bin/sh
# Stages dist/image of dist/vitrine and dist/plugins, and builds the image
# `vitrine` of it with podman, buildah or docker, whichever is at hand.
# IMAGE_FLAGS goes on to it, such as --build-arg BASE=...
set -eu
cd "$(dirname "$0")/../.."
ops/container/stage.sh dist/vitrine dist/plugins dist/image
for tool in podman buildah docker; do
	command -v $tool >/dev/null || continue
	# shellcheck disable=SC2086 # flags are several words
	exec $tool build ${IMAGE_FLAGS:-} -f ops/container/Containerfile -t "vitrine:${VERSION:-latest}" dist/image
done
echo "image: staged in dist/image; podman, buildah or docker would build it of ops/container/Containerfile"
