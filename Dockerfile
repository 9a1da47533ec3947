# The image of Refresher: one static program, the CA certificates, and nothing else.
#
#   make image                                     what is there builds it: docker, podman or buildah
#   make image PLATFORM=linux/arm64                the compiler crosses over, nothing is emulated
#
# Both base images are arguments. To pin the compiler by digest as well:
#   --build-arg GO_IMAGE=docker.io/library/golang:1.26.8-trixie@sha256:…
# (`docker buildx imagetools inspect docker.io/library/golang:1.26.8-trixie` says which). To
# build on something else than nothing, a base with its own passwd or licence files:
#   --build-arg BASE=gcr.io/distroless/static-debian13:nonroot@sha256:…
#
# No step needs a shell, so that a compiler image without one serves too. It must have
# /usr/local/go and /etc/ssl/certs/ca-certificates.crt (Debian: ca-certificates), which is copied
# into the image: a build without it ends at that COPY. What a step needs to know is in the
# environment, which is why the flags of the build are in GOFLAGS.
#
# Debian's buildah 1.28 builds it too, as root and without a daemon:
#   STORAGE_DRIVER=vfs buildah bud --isolation chroot --build-arg BASE=… --build-arg GO_IMAGE=… .
# It does not set BUILDPLATFORM, which is then empty, the machine's own, and a warning. To build
# for another platform, say it: --platform linux/arm64 --build-arg BUILDPLATFORM=linux/amd64
# (tools/image.sh does). No default stands here, since it would be wrong on the other machine.
ARG GO_IMAGE=docker.io/library/golang:1.26.8-trixie
ARG BASE=scratch

FROM --platform=${BUILDPLATFORM} ${GO_IMAGE} AS build
# There may be no mkdir. Without the first, COPY would give all of /var to the service's user.
WORKDIR /skeleton/var/lib
WORKDIR /spool
WORKDIR /src
ENV CGO_ENABLED=0 GOTOOLCHAIN=local
COPY go.mod go.sum ./
RUN ["/usr/local/go/bin/go", "mod", "download"]
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
ARG COMMIT
ARG DATE
# The same flags as in the Makefile. With them the program is the same to the last bit, wherever
# and whenever it is built. Time zones are in the program: a schedule may name one.
ENV GOOS=${TARGETOS} GOARCH=${TARGETARCH} \
    GOFLAGS="-trimpath -buildvcs=false -tags=timetzdata '-ldflags=-s -w -X main.version=${VERSION} -X main.commit=${COMMIT} -X main.date=${DATE}'"
RUN ["/usr/local/go/bin/go", "build", "-o", "/out/refresher", "./cmd/refresher"]

FROM ${BASE}
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# A new volume takes its owner from here; it is the only place that the service writes to.
COPY --from=build /skeleton /
COPY --from=build --chown=65532:65532 /spool /var/lib/refresher
COPY --from=build /out/refresher /refresher

ARG VERSION=dev
ARG COMMIT
ARG DATE
LABEL org.opencontainers.image.title="refresher" \
      org.opencontainers.image.description="Keeps the API credentials of many tenants alive, in HashiCorp Vault" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.created="${DATE}"

# As numbers, so that Kubernetes can tell that it is not root.
USER 65532:65532
VOLUME /var/lib/refresher
EXPOSE 8080
# A stop waits for the answers to calls that were sent: `docker stop -t 180`.
ENTRYPOINT ["/refresher"]
CMD ["run"]
