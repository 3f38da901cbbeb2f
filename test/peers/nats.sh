#!/bin/bash
# Installs the nats-servers that the tests of the cluster ledger run on, once, into a cache outside of the checkout:
# the current one by `go install`, the oldest supported one (2.9) by apt where this is a Debian and we are root.
# Where neither can be had it says so and ends well: the tests then skip.
set -u
version=v2.15.2
cache="${XDG_CACHE_HOME:-$HOME/.cache}/hallux-peers/nats-${version#v}"

if [ -x "$cache/nats-server" ]; then
  echo "nats-server $version: $cache"
elif command -v go >/dev/null; then
  mkdir -p "$cache"
  GOBIN="$cache" go install "github.com/nats-io/nats-server/v2@$version" >/dev/null 2>"$cache/install.log" ||
    echo "nats-server $version: not installed, go install failed; its log is $cache/install.log"
else
  echo "nats-server $version: not installed, Go is not here"
fi

if command -v nats-server >/dev/null || [ -x /usr/sbin/nats-server ]; then
  echo "nats-server of this system: $(PATH="$PATH:/usr/sbin" nats-server --version)"
elif command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  apt-get install -y --no-install-recommends nats-server >/dev/null 2>&1 ||
    echo "nats-server of this system: not installed, apt-get install failed"
else
  echo "nats-server of this system: not installed"
fi
