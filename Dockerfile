# For people who build with docker, podman or buildah. First `make image` (or `make image ARCH=arm64`): it compiles the static
# binary and leaves the root file system, the binary and four small files, in target/image; this copies it.
#
#   docker build -t partner-integration-operator .
#   docker buildx build --platform linux/amd64,linux/arm64 -t … --push .     (after `make image ARCH=all`)
#   buildah build -t partner-integration-operator .
#
# The image that `make image` packs holds the same files and needs none of these tools: docs/image.md.
FROM scratch
ARG TARGETARCH=amd64
LABEL org.opencontainers.image.title="partner-integration-operator" \
      org.opencontainers.image.source="https://github.com/kognitiv/partner-integration-operator" \
      org.opencontainers.image.licenses="Apache-2.0"
ADD target/image/${TARGETARCH}.rootfs.tar /
ENV PATH=/
WORKDIR /
USER 65532:65532
ENTRYPOINT ["/partner-integration-operator"]
