#!/bin/bash
# Installs the Loki that the tests of the loki notifier push to, once, into a cache outside of the checkout. It takes many minutes.
# Where it cannot be had it says so and ends well: the tests then skip.
set -u
module=github.com/grafana/loki/v3
version=v3.7.8
cache="${XDG_CACHE_HOME:-$HOME/.cache}/hallux-peers/loki-${version#v}"

# Not by `go install`: that takes no module which replaces others. One of them Loki replaces by a directory, which is not in its
# module; that one comes from where it is published.
build() {
  local source="$cache/source"
  local module_directory
  module_directory="$(go mod download -json "$module@$version" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')" &&
    rm -rf "$source" && cp -r "$module_directory" "$source" && chmod -R u+w "$source" &&
    (cd "$source" && go mod edit -dropreplace github.com/grafana/loki/pkg/push && go build -mod=mod -o "$cache/loki" ./cmd/loki) &&
    rm -rf "$source"
}

if [ -x "$cache/loki" ]; then
  echo "loki $version: $cache"
elif command -v go >/dev/null; then
  mkdir -p "$cache"
  build >"$cache/install.log" 2>&1 || echo "loki $version: not installed, go build failed; its log is $cache/install.log"
else
  echo "loki $version: not installed, Go is not here"
fi
