#!/bin/bash
# Installs the promtool that checks the alerts, the dashboard and the metrics page, once, into a cache outside of the checkout. It
# takes minutes. Where it cannot be had the script says so and ends well: the tests then skip.
set -u
module=github.com/prometheus/prometheus
# Of Prometheus 3.15.
version=v0.315.0
cache="${XDG_CACHE_HOME:-$HOME/.cache}/hallux-peers/promtool-${version#v}"

# Not by `go install`: that takes no module which replaces others. Its go.work names modules that are published apart.
build() {
  local source="$cache/source"
  local module_directory
  module_directory="$(go mod download -json "$module@$version" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')" &&
    rm -rf "$source" && cp -r "$module_directory" "$source" && chmod -R u+w "$source" &&
    (cd "$source" && GOWORK=off nice go build -o "$cache/promtool" ./cmd/promtool) &&
    rm -rf "$source"
}

if [ -x "$cache/promtool" ]; then
  echo "promtool $version: $cache"
elif command -v go >/dev/null; then
  mkdir -p "$cache"
  build >"$cache/install.log" 2>&1 || echo "promtool $version: not installed, go build failed; its log is $cache/install.log"
else
  echo "promtool $version: not installed, Go is not here"
fi
