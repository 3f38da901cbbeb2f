#!/bin/bash
# Installs the MinIO that the tests of the S3 outputs run on, once, into a cache outside of the checkout. It takes minutes.
# Where it cannot be had it says so and ends well: the tests then skip.
set -u
cache="${XDG_CACHE_HOME:-$HOME/.cache}/hallux-peers/minio"

if [ -x "$cache/minio" ]; then
  echo "minio: $cache"
elif command -v go >/dev/null; then
  mkdir -p "$cache"
  GOBIN="$cache" nice go install github.com/minio/minio@latest >/dev/null 2>"$cache/install.log" ||
    echo "minio: not installed, go install failed; its log is $cache/install.log"
else
  echo "minio: not installed, Go is not here"
fi
