#!/bin/bash
# Installs moto, which stands in for AWS in tests, once, into a cache outside of the checkout. Where it cannot be had the script
# says so and ends well: the tests then skip.
set -u
version=5.2.5
cache="${XDG_CACHE_HOME:-$HOME/.cache}/hallux-peers/moto-$version"

if [ -e "$cache/installed" ]; then
  echo "moto $version: $cache"
elif command -v python3 >/dev/null; then
  mkdir -p "$cache"
  if { python3 -m venv "$cache" && "$cache/bin/pip" install "moto[server]==$version"; } >"$cache/install.log" 2>&1; then
    touch "$cache/installed"
    echo "moto $version: $cache"
  else
    echo "moto $version: not installed, pip failed; its log is $cache/install.log"
  fi
else
  echo "moto $version: not installed, Python is not here"
fi
