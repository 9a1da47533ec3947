#!/bin/sh
# Builds the image from the Dockerfile with docker, podman or buildah, whichever is there first,
# or the one that BUILDER names. All arguments are passed on to it.
#
#   IMAGE, TAG                      what the image is called; default refresher and the version
#   PLATFORM                        default this machine's; linux/amd64 or linux/arm64
#   VERSION, COMMIT, DATE           what `refresher version` says; the Makefile knows them
#   SOURCE_DATE_EPOCH               the time of everything in the image, in seconds since 1970
set -eu
cd "$(dirname "$0")/.."

: "${IMAGE:=refresher}" "${VERSION:=dev}" "${SOURCE_DATE_EPOCH:=0}"
: "${TAG:=${VERSION#v}}"

for each in ${BUILDER:-docker podman buildah}; do
	if command -v "$each" >/dev/null 2>&1; then
		builder=$each
		break
	fi
done
if [ -z "${builder:-}" ]; then
	echo "To build the image, install docker, podman or buildah." >&2
	exit 1
fi

set -- --file Dockerfile --tag "$IMAGE:$TAG" ${PLATFORM:+--platform "$PLATFORM"} \
	--build-arg "VERSION=$VERSION" --build-arg "COMMIT=${COMMIT:-}" --build-arg "DATE=${DATE:-}" "$@"
case $builder in
docker)
	DOCKER_BUILDKIT=1 docker build --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" "$@" .
	;;
podman | buildah)
	# Older ones do not know BUILDPLATFORM in a FROM line.
	case $(uname -m) in
	aarch64 | arm64) machine=arm64 ;;
	*) machine=amd64 ;;
	esac
	"$builder" build --timestamp "$SOURCE_DATE_EPOCH" --build-arg "BUILDPLATFORM=linux/$machine" "$@" .
	;;
esac
