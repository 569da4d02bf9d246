#!/usr/bin/env bash
# Starts the proxy on the quickstart and prints a curl line that works. Ctrl-C ends it.
set -euo pipefail
proxy=$1
listen=${SLUICEGATE_LISTEN:-127.0.0.1:8080}
admin=${SLUICEGATE_ADMIN_LISTEN:-127.0.0.1:9090}
"$proxy" --manifests "${SLUICEGATE_MANIFESTS:-crds/examples/quickstart}" --listen "$listen" --admin-listen "$admin" &
pid=$!
trap 'kill $pid 2>/dev/null; wait $pid 2>/dev/null' INT TERM EXIT
for _ in $(seq 100); do
  kill -0 $pid 2>/dev/null || { wait $pid; exit $?; }
  (exec 3<>"/dev/tcp/${listen%:*}/${listen##*:}") 2>/dev/null && break
  sleep 0.1
done
cat <<TEXT

Sluicegate answers on http://$listen (admin: http://$admin). Try it from another terminal:

  curl http://$listen/v1/chat/completions -H 'content-type: application/json' \\
    -d '{"model":"demo","messages":[{"role":"user","content":"Hello"}]}'

Edit ${SLUICEGATE_MANIFESTS:-crds/examples/quickstart}/*.yaml and call again: no restart. Ctrl-C stops it.

TEXT
wait $pid
