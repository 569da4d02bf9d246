#!/usr/bin/env bash
# The definitions (CRDs) of the kinds that the chart uses of other projects, taken once out of these projects' Go modules
# into the cache; prints their folder. Go's checksum database vouches for them.
set -euo pipefail

# A module, and what of it.
modules="
github.com/kedacore/keda/v2@v2.21.0 config/crd/bases/keda.sh_scaledobjects.yaml
github.com/cert-manager/cert-manager@v1.21.2 deploy/crds/cert-manager.io_certificates.yaml
github.com/prometheus-operator/prometheus-operator@v0.85.0 example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml
github.com/prometheus-operator/prometheus-operator@v0.85.0 example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml
github.com/prometheus-operator/prometheus-operator@v0.85.0 example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml
"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate
folder=$cache/definitions-$(sha256sum <<<"$modules" | cut -c -16)
if [ ! -d "$folder" ]; then
  command -v go >/dev/null || { echo "The definitions of other projects come as Go modules: install Go 1.25 or newer." >&2; exit 1; }
  mkdir -p "$cache"
  # In one step, so that whoever does it at the same time does no harm.
  made=$(mktemp -d "$cache/definitions.XXXXXX")
  trap 'rm -rf "$made"' EXIT
  while read -r module file; do
    [ -n "$module" ] || continue
    from=$(cd "$made" && GOWORK=off GOFLAGS=-mod=mod go mod download -json "$module" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
    install -m 644 "$from/$file" "$made"
  done <<<"$modules"
  mv -T "$made" "$folder" 2>/dev/null || [ -d "$folder" ]
fi
echo "$folder"
