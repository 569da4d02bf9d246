#!/usr/bin/env bash
# Builds the DNS server of the tests' nodes (tests/kube/dns) once, into the cache; prints its path.
set -euo pipefail

source_dir=$(cd "$(dirname "$0")/../kube/dns" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate
program=$cache/coredns-$(cd "$source_dir" && cat go.mod go.sum main.go | sha256sum | cut -c -16)
if [ ! -x "$program" ]; then
  command -v go >/dev/null || { echo "The node tests build CoreDNS: install Go 1.26 or newer." >&2; exit 1; }
  echo "building CoreDNS into $program: once, a minute on two cores" >&2
  mkdir -p "$cache"
  # In one step, so that whoever builds it at the same time does no harm.
  trap 'rm -f "$program.$$"' EXIT
  (cd "$source_dir" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$program.$$" .) >&2
  mv "$program.$$" "$program"
fi
echo "$program"
