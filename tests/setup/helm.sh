#!/usr/bin/env bash
# Helm 3 and Helm 4, built from their Go modules into the cache. `helm.sh 3` (or 4) builds it if it is not there, and
# prints where it is. HELM3 or HELM4, when set, is used as it is.
set -euo pipefail

case ${1:-} in
  3) given=${HELM3:-} version=v3.22.0 ;;
  4) given=${HELM4:-} version=v4.3.1 ;;
  *) echo "usage: helm.sh 3|4" >&2; exit 2 ;;
esac
if [ -n "$given" ]; then
  echo "$given"
  exit
fi

folder=${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate/helm-$version
if [ ! -x "$folder/helm" ]; then
  mkdir -p "$folder"
  # Several test binaries may ask at once: one builds, the others wait for it.
  exec 9>"$folder/lock"
  flock 9
  if [ ! -x "$folder/helm" ]; then
    command -v go >/dev/null || { echo "helm.sh needs Go to build Helm, or HELM$1=PATH" >&2; exit 1; }
    echo "building Helm $version into $folder" >&2
    built=$(mktemp -d "$folder/build.XXXXXX")
    trap 'rm -rf "$built"' EXIT
    # Built as a module Helm does not know its version, and Helm 3 takes the cluster for a 1.20 where it can not ask.
    named="-s -w -X helm.sh/helm/v$1/internal/version.version=$version"
    for part in Major=1 Minor=35; do named+=" -X helm.sh/helm/v$1/pkg/chartutil.k8sVersion$part"; done
    GOBIN=$built CGO_ENABLED=0 nice go install -ldflags "$named" "helm.sh/helm/v$1/cmd/helm@$version" >&2
    mv "$built/helm" "$folder/helm"
  fi
fi
echo "$folder/helm"
