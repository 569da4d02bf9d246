#!/usr/bin/env bash
# A whole Kubernetes node that touches nothing of its host: control plane, kubelet, containerd, pods, Services and DNS in
# network, mount and process namespaces of its own. Nothing leads out of it; several stand side by side. Needs root and
# what tests/setup/packages.sh installs.
#
#   node.sh up DIR              starts it in this folder, which it makes; ready when it returns
#   node.sh hold DIR            the same, says "ready", and takes it down when standard input ends
#   node.sh sh DIR COMMAND…     runs a command inside: its network, its names, its processes, the host's files
#   node.sh load DIR ARCHIVE    gives it an image (see image.py); its pods can use no others
#   node.sh down DIR            takes it down, and the folder with it
#
# In DIR: kubeconfig (for inside), pki, logs, pids (as seen inside).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
verb=${1:-} dir=${2:-}
if [ -z "$verb" ] || [ -z "$dir" ]; then
  sed -n '6,12s/^# *//p' "$0" >&2
  exit 2
fi
dir=$(realpath -m "$dir")
shift 2

# Addresses set aside for benchmarks (RFC 2544): nobody's network is hidden by them.
address=198.18.0.1 # the node's
pods=198.18.1.0/24
services=198.19.0.0/24
dns=198.19.0.10
cgroup=sluicegate-$(basename "$dir")-$(echo "$dir" | cksum | cut -d ' ' -f 1)
patience=60 # seconds for each thing that is waited for

fail() {
  echo "node.sh: $*" >&2
  exit 1
}

# ---- outside -------------------------------------------------------------------------------------------------------

# The process that made the namespaces is in the first two, its child is the first process of the third.
enter() {
  local ns=/proc/$(cat "$dir/holder" 2>/dev/null || fail "no node in $dir")/ns
  nsenter "--net=$ns/net" "--mount=$ns/mnt" "--pid=$ns/pid_for_children" "--wd=$PWD" "$@"
}

alive() {
  local state
  state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) || return 1
  [ "${state:0:1}" != Z ]
}

up() { # the words before `unshare`
  [ "$(id -u)" = 0 ] || fail "needs root"
  case $dir/ in
    /run/* | /var/run/* | /var/lib/* | /var/log/* | /proc/* | /sys/*) fail "$dir is a place the node hides: choose another" ;;
  esac
  [ ! -e "$dir/holder" ] || fail "a node is in $dir already: down first"
  local binaries coredns
  binaries=$("$here/../setup/kubebox.sh")
  coredns=$("$here/../setup/coredns.sh")
  [ -x "$binaries/kubelet" ] || fail "$binaries (KUBEBUILDER_ASSETS?) has no kubelet"
  mkdir -p "$dir/logs"
  "$@" unshare --net --mount --propagation private --pid --fork --kill-child --mount-proc \
    "$here/node.sh" inside "$dir" "$binaries" "$coredns" </dev/null >"$dir/logs/node.log" 2>&1 &
  local holder=$!
  echo $holder >"$dir/holder"
  until [ -e "$dir/ready" ]; do
    if ! alive $holder; then
      tail -n 20 "$dir/logs/node.log" >&2
      down
      fail "the node did not start"
    fi
    sleep 0.05
  done
}

down() {
  local holder first folder
  if holder=$(cat "$dir/holder" 2>/dev/null) && grep -qsF "$dir" "/proc/$holder/cmdline"; then
    # The kernel ends all other processes with the first; the namespaces and every mount in them go with the last.
    first=$(cat "/proc/$holder/task/$holder/children" 2>/dev/null || true)
    kill -KILL $first 2>/dev/null || true
    for _ in $(seq $((patience * 50))); do
      alive "$holder" || break
      sleep 0.02
    done
    alive "$holder" && fail "process $holder of the node in $dir does not end"
  fi
  for folder in /sys/fs/cgroup/"$cgroup" /sys/fs/cgroup/*/"$cgroup"; do
    [ ! -d "$folder" ] || find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
  [ ! -e "$dir/holder" ] || rm -rf "$dir"
}

hold() {
  trap down EXIT
  # Should this very process be killed, the node still goes; only its files are left.
  up setpriv --pdeathsig KILL
  echo ready
  cat >/dev/null
}

# ---- inside --------------------------------------------------------------------------------------------------------

start() { # name, command
  local name=$1
  shift
  "$@" >"logs/$name.log" 2>&1 &
  echo $! >"pids/$name"
}

await() { # what, of which process, command
  local what=$1 name=$2
  shift 2
  for _ in $(seq $((patience * 10))); do
    "$@" >/dev/null 2>&1 && return
    kill -0 "$(cat "pids/$name")" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 20 "logs/$name.log"
  fail "$what: not in time"
}

# What programs write to fixed places goes to the node's folder, and vanishes with it.
own_places() {
  local resolver
  for place in run var/lib var/log; do
    mkdir -p "own/$place"
    mount --bind "own/$place" "/$place"
  done
  # The kubelet sets these for the whole machine if they are not so; here they are.
  while read -r setting value; do
    [ -e "/proc/sys/$setting" ] || continue
    echo "$value" >"own/${setting//\//.}"
    mount --bind "own/${setting//\//.}" "/proc/sys/$setting"
  done <<SETTINGS
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
SETTINGS
  printf '%s\n' "nameserver $dns" "search default.svc.cluster.local svc.cluster.local cluster.local" \
    "options ndots:5" >own/resolv.conf
  resolver=$(realpath -m /etc/resolv.conf)
  if [ -L /etc/resolv.conf ] && [ ! -e "$resolver" ]; then # it leads to /run
    mkdir -p "$(dirname "$resolver")"
    touch "$resolver"
  fi
  [ ! -e "$resolver" ] || mount --bind own/resolv.conf "$resolver"
}

# Two kubelets would take each other's pods for lost ones if both kept them in the same group.
own_cgroup() {
  local controller
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p "/sys/fs/cgroup/$cgroup"
    return
  fi
  for controller in /sys/fs/cgroup/*/; do
    mkdir -p "$controller$cgroup" 2>/dev/null || continue
    for set in cpus mems; do
      [ ! -e "$controller$cgroup/cpuset.$set" ] || cat "${controller}cpuset.$set" >"$controller$cgroup/cpuset.$set"
    done
  done
}

own_network() {
  ip link set lo up
  ip link add node0 type bridge # stands in for a network card; some kernels have no `dummy`
  ip addr add $address/24 dev node0
  ip link set node0 up
  ip route add default dev node0 # the kubelet and the API server look for one
  sysctl -qw net.ipv4.ip_forward=1
}

key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "pki/$1.key"; }

certificate() { # name, subject, extensions
  key "$1"
  openssl req -new -key "pki/$1.key" -subj "$2" -out "pki/$1.csr"
  openssl x509 -req -in "pki/$1.csr" -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 3650 \
    -extfile <(echo "$3") -out "pki/$1.crt" 2>/dev/null
}

certificates() {
  local names=IP:127.0.0.1,IP:$address,IP:${services%.*}.1,DNS:localhost
  key ca
  openssl req -x509 -new -key pki/ca.key -days 3650 -subj /CN=sluicegate-node -out pki/ca.crt
  certificate server /CN=kube-apiserver \
    "subjectAltName=$names,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
  certificate admin /O=system:masters/CN=admin extendedKeyUsage=clientAuth
  certificate front /CN=front-proxy extendedKeyUsage=clientAuth
  key accounts
  openssl pkey -in pki/accounts.key -pubout -out pki/accounts.pub
}

kubeconfig() {
  cat >kubeconfig <<CONFIG
apiVersion: v1
kind: Config
clusters: [{name: node, cluster: {server: "https://$address:6443", certificate-authority: $dir/pki/ca.crt}}]
users: [{name: admin, user: {client-certificate: $dir/pki/admin.crt, client-key: $dir/pki/admin.key}}]
contexts: [{name: node, context: {cluster: node, user: admin}}]
current-context: node
CONFIG
}

control_plane() { # folder of the binaries; the flags are those of ../src/kube/components.rs where they can be
  start etcd "$1/etcd" --data-dir=etcd --unsafe-no-fsync \
    --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
    --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 \
    --initial-cluster=default=http://127.0.0.1:2380
  start kube-apiserver "$1/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
    --bind-address=0.0.0.0 --advertise-address=$address --secure-port=6443 --service-cluster-ip-range=$services \
    --tls-cert-file=pki/server.crt --tls-private-key-file=pki/server.key --client-ca-file=pki/ca.crt \
    --authorization-mode=Node,RBAC --allow-privileged --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file=pki/accounts.pub --service-account-signing-key-file=pki/accounts.key \
    --proxy-client-cert-file=pki/front.crt --proxy-client-key-file=pki/front.key \
    --requestheader-client-ca-file=pki/ca.crt --requestheader-allowed-names=front-proxy \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra-
  await "the API server" kube-apiserver "$1/kubectl" get --raw /readyz
  start kube-controller-manager "$1/kube-controller-manager" --kubeconfig=kubeconfig --secure-port=0 \
    --leader-elect=false --use-service-account-credentials --root-ca-file=pki/ca.crt \
    --service-account-private-key-file=pki/accounts.key --horizontal-pod-autoscaler-sync-period=1s
  start kube-scheduler "$1/kube-scheduler" --kubeconfig=kubeconfig --secure-port=0 --leader-elect=false
}

containers() { # folder of the binaries
  local plugins=/usr/lib/cni # Debian's
  [ -x $plugins/ptp ] || plugins=/opt/cni/bin
  mkdir -p containerd cni
  cat >containerd.toml <<CONFIG
version = 2
root = "$dir/containerd/root"
state = "$dir/containerd/state"
[grpc]
  address = "$dir/containerd/socket"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "sluicegate.test/pause:1"
  restrict_oom_score_adj = true # lowering one's own needs a right that containers lack
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$plugins"
    conf_dir = "$dir/cni"
CONFIG
  # A link of its own for each pod: what goes from pod to pod is routed, so Services work without br_netfilter.
  cat >cni/pods.conflist <<CONFIG
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp", "ipam": {"type": "host-local",
  "dataDir": "$dir/cni/addresses", "ranges": [[{"subnet": "$pods"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
CONFIG
  start containerd containerd --config containerd.toml
  await containerd containerd ctr --address containerd/socket version
  ctr --address containerd/socket --namespace k8s.io images import "$1/pause.tar" >/dev/null
}

kubelet() { # folder of the binaries
  mkdir -p kubelet
  # Nothing is evicted or collected because the machine's own disk is rather full.
  cat >kubelet.yaml <<CONFIG
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $address
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix://$dir/containerd/socket
cgroupDriver: cgroupfs
cgroupRoot: /$cgroup
failCgroupV1: false
enforceNodeAllocatable: []
evictionHard: {memory.available: 1Mi, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
imageGCHighThresholdPercent: 100
oomScoreAdj: 0
failSwapOn: false
localStorageCapacityIsolation: false
clusterDNS: [$dns]
clusterDomain: cluster.local
resolvConf: ""
CONFIG
  start kubelet "$1/kubelet" --config=kubelet.yaml --kubeconfig=kubeconfig --root-dir="$dir/kubelet" \
    --node-ip=$address --hostname-override=node
  start kube-proxy "$1/kube-proxy" --kubeconfig=kubeconfig --hostname-override=node --proxy-mode=iptables \
    --cluster-cidr=$pods --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 \
    --conntrack-tcp-timeout-close-wait=0
}

names() { # CoreDNS, kubectl
  cat >Corefile <<CONFIG
cluster.local:53 in-addr.arpa:53 {
  bind $address
  errors
  kubernetes {
    kubeconfig $dir/kubeconfig node
    ttl 1
  }
}
# Nothing leads out, so there is no other name. To say so beats to be silent.
.:53 {
  bind $address
  template IN ANY . {
    rcode NXDOMAIN
  }
}
CONFIG
  start coredns "$1" -conf Corefile
  "$2" apply -f - >/dev/null <<MANIFEST
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {clusterIP: $dns, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
endpoints: [{addresses: [$address], conditions: {ready: true}}]
MANIFEST
}

inside() { # folder of the Kubernetes binaries, CoreDNS
  cd "$dir"
  mkdir -p pki pids
  export KUBECONFIG=$dir/kubeconfig
  own_places
  own_cgroup
  own_network
  certificates
  kubeconfig
  containers "$1" &
  local preparing=$!
  control_plane "$1"
  wait $preparing
  kubelet "$1"
  names "$2" "$1/kubectl"
  await "the node" kubelet "$1/kubectl" wait --for=condition=Ready node/node --timeout=1s
  await "the ServiceAccount of pods" kube-controller-manager "$1/kubectl" get serviceaccount default
  # Through kube-proxy, whose rules come last.
  await "cluster DNS" coredns getent hosts kubernetes.default.svc.cluster.local
  touch ready
  # The first process stays: the others live as long as it does, and it buries those whose parents are gone.
  sleep infinity &
  wait $!
}

case $verb in
  up) up setsid ;;
  hold) hold ;;
  inside) inside "$@" ;;
  down) down ;;
  sh) KUBECONFIG=$dir/kubeconfig enter "$@" ;;
  load) enter ctr --address "$dir/containerd/socket" --namespace k8s.io images import "$(realpath "$1")" >/dev/null ;;
  *) fail "no such word: $verb" ;;
esac
