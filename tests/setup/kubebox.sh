#!/usr/bin/env bash
# Builds the Kubernetes of the tests (tests/kube) once and keeps it outside the checkout, in a folder named for its
# sources; prints that folder. Does nothing when it is there. An existing KUBEBUILDER_ASSETS is printed instead.
set -euo pipefail

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  echo "$KUBEBUILDER_ASSETS"
  exit 0
fi
source_dir=$(cd "$(dirname "$0")/../kube" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate
parts="etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl"
# `k8s.io/kubernetes v1.35.4` in go.mod is the one place that says which; SLUICEGATE_KUBE_VERSION asks for another.
standard=$(sed -n 's|^\tk8s.io/kubernetes v||p' "$source_dir/go.mod")
case ${SLUICEGATE_KUBE_VERSION:-$standard} in
  1.33) version=1.33.13 ;;
  1.34) version=1.34.4 ;;
  1.35) version=$standard ;;
  1.36) version=1.36.3 ;;
  1.37) version=1.37.2 ;;
  *.*.*) version=${SLUICEGATE_KUBE_VERSION:-$standard} ;;
  *) echo "SLUICEGATE_KUBE_VERSION: 1.33 to 1.37, or all three numbers" >&2; exit 2 ;;
esac
hash=$(cd "$source_dir" && cat go.mod go.sum kubebox/main.go pause/main.go image.py | sha256sum | cut -c -16)
folder=$cache/kube-$version-$hash
if [ -e "$folder/ready" ]; then
  echo "$folder"
  exit 0
fi
mkdir -p "$cache"
if [ "${SLUICEGATE_KUBEBOX_LOCKED:-}" != yes ]; then # two test binaries at once would build it twice
  SLUICEGATE_KUBEBOX_LOCKED=yes exec flock "$cache/kube.lock" "$0" "$@"
fi
command -v go >/dev/null || { echo "The cluster tests build Kubernetes: install Go 1.25 or newer." >&2; exit 1; }

echo "building Kubernetes $version into $folder: once, four minutes on two cores" >&2
major=${version%%.*} rest=${version#*.}
flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do # else /version says v0.0.0-master
  flags+=" -X $package.gitVersion=v$version -X $package.gitMajor=$major -X $package.gitMinor=${rest%%.*}"
  flags+=" -X $package.gitTreeState=clean"
done
rm -rf "$folder"
mkdir -p "$folder"
if [ "$version" != "$standard" ]; then
  # The same sources on that version's own dependencies, which `tidy` finds; Go's checksum database vouches for them.
  other=$(mktemp -d)
  trap 'rm -rf "$other"' EXIT
  cp -r "$source_dir"/{kubebox,pause,image.py} "$other"
  minor=${version#1.}
  {
    printf 'module sluicegate.test/kube\n\ngo 1.25.0\n\nrequire k8s.io/kubernetes v%s\n\n' "$version"
    sed -n '/^replace (/,/^)/p' "$source_dir/go.mod" | sed "s/ v0\.[0-9.]*$/ v0.$minor/"
    if [ "${minor%%.*}" -ge 36 ]; then
      for part in cri-streaming streaming; do echo "replace k8s.io/$part => k8s.io/$part v0.$minor"; done
    fi
  } >"$other/go.mod"
  (cd "$other" && go mod tidy) >&2
  # Until 1.33 the kubelet's command is made without a context.
  if grep -q 'func NewKubeletCommand()' "$(cd "$other" && go list -m -f '{{.Dir}}' k8s.io/kubernetes)/cmd/kubelet/app/server.go"; then
    sed -i 's/NewKubeletCommand(context.Background())/NewKubeletCommand()/; /^\t"context"$/d' "$other/kubebox/main.go"
  fi
  source_dir=$other
fi
(cd "$source_dir" && CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o "$folder/kubebox" ./kubebox) >&2
for part in $parts; do ln -s kubebox "$folder/$part"; done
# The image that every pod begins with.
mkdir -p "$folder/pause"
(cd "$source_dir" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$folder/pause/pause" ./pause) >&2
"$source_dir/image.py" "$folder/pause" sluicegate.test/pause:1 "$folder/pause.tar" /pause
touch "$folder/ready"
echo "$folder"
