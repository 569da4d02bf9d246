#!/usr/bin/env bash
# A Kubernetes with Sluicegate installed, for a person to try: `cluster.sh up BINARIES` (a folder with the built programs)
# prints the lines that use it, `cluster.sh down` leaves nothing of it. Needs root.
set -euo pipefail
cd "$(dirname "$0")/../.."

dir=${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate/cluster
node=tests/kube/node.sh
api=127.0.0.1:${SLUICEGATE_CLUSTER_API_PORT:-16443}
listen=${SLUICEGATE_LISTEN:-127.0.0.1:8080}
image=sluicegate.test/sluicegate

down() {
  local forward
  for forward in $(cat "$dir/forwards" 2>/dev/null); do
    ! grep -qs forward "/proc/$forward/cmdline" || kill "$forward"
  done
  $node down "$dir"
}

forward() { # from, to
  setsid "$binaries/forward" --listen "$1" --node "$(cat "$dir/holder")" "$2" </dev/null >/dev/null 2>&1 &
  echo $! >>"$dir/forwards"
}

up() {
  local kubectl helm work
  [ ! -e "$dir/holder" ] || { echo "it is there already: make cluster-down first" >&2; exit 1; }
  kubectl=$(tests/setup/kubebox.sh)/kubectl
  helm=$(tests/setup/helm.sh 4)
  $node up "$dir"
  trap down ERR INT TERM
  work=$(mktemp -d)
  image/rootfs.sh "$work/root" "$binaries/sluicegate-proxy" "$binaries/sluicegate-operator"
  tests/kube/image.py "$work/root" $image:dev "$work/image.tar" /usr/local/bin/sluicegate-proxy
  $node load "$dir" "$work/image.tar"
  rm -rf "$work"
  forward "$api" 198.18.0.1:6443
  sed "s|https://198.18.0.1:6443|https://$api|" "$dir/kubeconfig" >"$dir/kubeconfig-outside"
  export KUBECONFIG=$dir/kubeconfig-outside
  for _ in $(seq 100); do
    "$kubectl" get --raw /readyz >/dev/null 2>&1 && break
    sleep 0.1
  done
  "$helm" install sluicegate charts/sluicegate --namespace sluicegate --create-namespace --wait --timeout 2m \
    --values charts/sluicegate/values-development.yaml --set image.registry= --set image.repository=$image --set image.tag=dev >/dev/null
  "$kubectl" apply --namespace default --filename crds/examples/quickstart >/dev/null
  forward "$listen" "$("$kubectl" get service sluicegate --namespace sluicegate \
    --output jsonpath='{.spec.clusterIP}:{.spec.ports[0].port}')"
  cat <<TEXT

A node with Sluicegate on it, and the quickstart's routes:

  export KUBECONFIG=$KUBECONFIG PATH=$(dirname "$kubectl"):$(dirname "$helm"):\$PATH
  kubectl get pods,llmroutes,providerpools -A
  curl http://$listen/v1/chat/completions -H 'content-type: application/json' -d '{"model":"demo","messages":[{"role":"user","content":"Hello"}]}'

make cluster-down takes it away.

TEXT
}

case ${1:-} in
  up)
    binaries=$(realpath "${2:?a folder with the built programs}")
    up
    ;;
  down) down ;;
  *) echo "usage: cluster.sh up BINARIES | down" >&2; exit 2 ;;
esac
