#!/usr/bin/env bash
# All tests of the workspace, in two lanes. Those on an API server, those of the chart and those on a node wait for pods, for Helm
# and for etcd far more than they work, so they run beside the others, one after the other, and what they say comes last. What
# fails in either lane fails the whole, and is shown.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo=${CARGO:-cargo}
lanes=("cel cluster chart node")

# Everything is built before anything runs: a compiler beside them is what tests of time like least.
"$cargo" test --workspace --all-targets --no-run
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$cargo" test --workspace --all-targets --no-run --message-format=json 2>/dev/null >"$folder/built"
python3 - "$folder/built" >"$folder/targets" <<'END2'
import json, os, sys

for line in open(sys.argv[1], encoding="utf-8"):
    said = json.loads(line)
    if said["reason"] == "compiler-artifact" and said["profile"]["test"] and said["target"]["kind"] == ["test"]:
        print(said["target"]["name"], said["executable"], os.path.dirname(said["manifest_path"]))
END2

declare -A executables folders
others=()
while read -r name executable of; do
  executables[$name]=$executable folders[$name]=$of
  [[ " ${lanes[*]} " == *" $name "* ]] || others+=(--test "$name")
done <"$folder/targets"

# One lane: its programs one after the other, until one fails. Told to end, it takes the one that runs with it.
lane() {
  local name
  for name in "$@"; do
    echo "     Running beside the others: $name"
    cd "${folders[$name]}"
    "${executables[$name]}" &
    trap "kill $! 2>/dev/null; exit 1" TERM
    wait "$!" || return
  done
}
running=()
for names in "${lanes[@]}"; do
  for name in $names; do
    [ -n "${executables[$name]:-}" ] || { echo "tests.sh: there are no tests of the name $name" >&2; exit 1; }
  done
  # shellcheck disable=SC2086 # a lane is a list of words
  lane $names >"$folder/lane-${names// /-}" 2>&1 &
  running+=("$!")
done
# However this ends, nothing that holds a node or an API server stays behind.
trap 'kill "${running[@]}" 2>/dev/null || true; wait; rm -rf "$folder"' EXIT

failed=0
"$cargo" test --workspace --lib --bins --benches --examples "${others[@]}" || failed=$?
for index in "${!lanes[@]}"; do
  if [ "$failed" != 0 ] && kill -0 "${running[index]}" 2>/dev/null; then
    echo "tests.sh: failed, see above; the tests of ${lanes[index]} are under way still, and not waited for" >&2
    continue
  fi
  code=0
  wait "${running[index]}" || code=$?
  cat "$folder/lane-${lanes[index]// /-}"
  if [ "$code" != 0 ] && [ "$failed" = 0 ]; then failed=$code; fi
done
[ "$failed" = 0 ] || echo "tests.sh: tests failed, see above" >&2
exit "$failed"
