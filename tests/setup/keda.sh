#!/usr/bin/env bash
# KEDA's operator and the adapter that serves its metrics, built once from its Go module into the cache; prints their
# folder, in which are its definitions, too. `keda.sh built` prints it if it is there, and builds nothing: ten minutes of CPU
# are asked for by `make test-keda` only.
set -euo pipefail

# definitions.sh says which.
module=github.com/kedacore/keda/v2
version=$(sed -n "s|^$module@\(v[0-9.]*\) .*|\1|p" "$(dirname "$0")/definitions.sh" | head -n 1)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate
folder=$cache/keda-$version
if [ ! -d "$folder" ]; then
  [ "${1:-}" != built ] || exit 0
  command -v go >/dev/null || { echo "KEDA is built from its Go module: install Go 1.26 or newer." >&2; exit 1; }
  echo "building KEDA $version into $folder: once, five minutes on two cores" >&2
  mkdir -p "$cache"
  made=$(mktemp -d "$cache/keda.XXXXXX")
  trap 'rm -rf "$made"' EXIT
  from=$(cd "$made" && GOWORK=off GOFLAGS=-mod=mod go mod download -json "$module@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  # As a module of its own it has the dependencies that its authors chose.
  cp -r "$from" "$made/source"
  chmod -R u+w "$made/source"
  (cd "$made/source" && GOWORK=off CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags "-s -w" -o "$made/" ./cmd/operator ./cmd/adapter) >&2
  mv "$made/source/config/crd/bases" "$made/definitions"
  rm -rf "$made/source"
  mv -T "$made" "$folder" 2>/dev/null || [ -d "$folder" ]
fi
echo "$folder"
