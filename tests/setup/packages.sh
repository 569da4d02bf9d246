#!/usr/bin/env bash
# System packages that the tests use. Installs them when root, otherwise says exactly what to install.
set -euo pipefail

missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need redis-server redis-server
need promtool prometheus
compgen -G "/usr/lib/*/faketime/libfaketimeMT.so.1" >/dev/null || missing+=(libfaketime)
need python3 python3
need node nodejs
need npm npm
need cc gcc
if [ "$(id -u)" = 0 ]; then # a node with real pods
  need containerd containerd
  need runc runc
  need ip iproute2
  need iptables iptables
  need conntrack conntrack
  need openssl openssl
  [ -x /usr/lib/cni/ptp ] || [ -x /opt/cni/bin/ptp ] || missing+=(containernetworking-plugins)
else
  echo "not root: the tests that need a node with real pods (tests/tests/node) will be skipped" >&2
fi
python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || missing+=(python3-venv)

[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "make test needs: ${missing[*]}" >&2
  echo "On Debian or Ubuntu: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "installing ${missing[*]}"
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
# A distribution's service would take the default port; the tests start servers of their own.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d.sluicegate && chmod +x /usr/sbin/policy-rc.d.sluicegate
had_policy=$([ -e /usr/sbin/policy-rc.d ] && echo yes || echo no)
[ "$had_policy" = yes ] || mv /usr/sbin/policy-rc.d.sluicegate /usr/sbin/policy-rc.d
trap '[ "$had_policy" = yes ] || rm -f /usr/sbin/policy-rc.d; rm -f /usr/sbin/policy-rc.d.sluicegate' EXIT
(apt-get update -q && apt-get install -qy --no-install-recommends "${missing[@]}") >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
rm -f "$log"
