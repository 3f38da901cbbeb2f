# syntax=docker/dockerfile:1
# Tags are given by argument, so that a release can name digests: --build-arg NODE_IMAGE=node@sha256:…
ARG NODE_IMAGE=node:26.10.0-trixie-slim
ARG BASE_IMAGE=gcr.io/distroless/cc-debian13:nonroot

# The bundle is the same for every platform: it is made once, on the builder's own.
FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# Install scripts would fetch another Node: this one is the pinned one.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN node scripts/build.ts && node scripts/sbom.ts > dist/hallux.cdx.json && mkdir /state

# Node for the platform of the image. Nothing runs here, so no emulation is needed.
FROM ${NODE_IMAGE} AS node

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=
LABEL org.opencontainers.image.title="Hallux" \
      org.opencontainers.image.description="Response engine for Falco: matches security events against YAML rules and acts on Kubernetes and AWS" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"

COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/LICENSE /usr/local/share/node/LICENSE
# The one library of Node's that the base image lacks.
COPY --from=node /usr/lib/*-linux-gnu/libatomic.so.1* /usr/lib/
# Scanners of images find the packages of the bundle by hallux.cdx.json alone.
COPY --from=build /build/dist/hallux.js /build/dist/ledger-thread.js /build/dist/package.json /build/dist/LICENSE /build/dist/THIRD-PARTY-NOTICES /build/dist/hallux.cdx.json /opt/hallux/
COPY --from=build /build/dist/chunks/ /opt/hallux/chunks/
COPY --from=build --chown=65532:65532 --chmod=0700 /state/ /var/lib/hallux/

# The heap that goes with a memory limit of 512 MiB (docs/operations.md).
ENV NODE_ENV=production \
    NODE_OPTIONS=--max-old-space-size=256 \
    STATE_DIRECTORY=/var/lib/hallux
VOLUME ["/var/lib/hallux"]
USER 65532:65532
EXPOSE 2803
ENTRYPOINT ["/usr/local/bin/node", "/opt/hallux/hallux.js"]
CMD ["server"]
