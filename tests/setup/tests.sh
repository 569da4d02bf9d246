#!/usr/bin/env bash
# All tests of the workspace. Those on a node wait for pods far more than they work, so they run beside the others, and what
# they say comes last. What fails on either side fails the whole, and is shown.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo=${CARGO:-cargo}

# Everything is built before anything runs: a compiler beside them is what tests of time like least.
"$cargo" test --workspace --all-targets --no-run
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$cargo" test --workspace --all-targets --no-run --message-format=json 2>/dev/null >"$folder/built"
python3 - "$folder/built" >"$folder/targets" <<'END'
import json, sys

for line in open(sys.argv[1], encoding="utf-8"):
    said = json.loads(line)
    if said["reason"] == "compiler-artifact" and said["profile"]["test"] and said["target"]["kind"] == ["test"]:
        print(said["target"]["name"], said["executable"])
END

others=() beside=
while read -r name executable; do
  if [ "$name" = node ]; then beside=$executable; else others+=(--test "$name"); fi
done <"$folder/targets"
[ -n "$beside" ] || { echo "tests.sh: there are no tests of the name node" >&2; exit 1; }

(cd tests && exec "$beside") >"$folder/node" 2>&1 &
node=$!
# However this ends, a node goes with the tests that hold it.
trap 'kill "$node" 2>/dev/null || true; wait "$node" 2>/dev/null || true; rm -rf "$folder"' EXIT

failed=0
"$cargo" test --workspace --lib --bins --benches --examples "${others[@]}" || failed=$?
if [ "$failed" != 0 ] && kill -0 "$node" 2>/dev/null; then
  echo "tests.sh: failed, see above; the tests on a node are under way still, and not waited for" >&2
  exit "$failed"
fi
on_node=0
wait "$node" || on_node=$?
trap 'rm -rf "$folder"' EXIT
echo "     Running beside the others: ${beside#"$PWD"/}"
cat "$folder/node"
[ "$failed" = 0 ] || { echo "tests.sh: tests failed, see further above" >&2; exit "$failed"; }
exit "$on_node"
