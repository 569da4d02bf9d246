#!/usr/bin/env bash
# All tests of the workspace, in two lanes. Those on an API server, those of the chart and those on a node wait for pods, for Helm
# and for etcd far more than they work, so they run beside the others, one after the other, and what they say comes last.
#
# All run, whatever fails. A few that failed (FEW) are run a second time, by themselves: on a machine that others use, a test from
# outside may be held up for longer than it waits. They are named before; what fails again fails the whole, and so do more than a few.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo=${CARGO:-cargo}
lane=(cel cluster chart node)
FEW=4

# Everything is built before anything runs: a compiler beside them is what tests of time like least.
"$cargo" test --workspace --all-targets --no-run
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$cargo" test --workspace --all-targets --no-run --message-format=json 2>/dev/null >"$folder/built"
# Of each program of tests: its kind, its name, its file and the folder that it runs in.
python3 - "$folder/built" >"$folder/targets" <<'END'
import json, os, sys

for line in open(sys.argv[1], encoding="utf-8"):
    said = json.loads(line)
    if said["reason"] == "compiler-artifact" and said["profile"]["test"] and said["executable"]:
        print(said["target"]["kind"][0], said["target"]["name"], said["executable"], os.path.dirname(said["manifest_path"]))
END

declare -A executables folders folder_of
others=()
while read -r kind name executable of; do
  folder_of[$executable]=$of
  [ "$kind" = test ] || continue
  executables[$name]=$executable folders[$name]=$of
  [[ " ${lane[*]} " == *" $name "* ]] || others+=(--test "$name")
done <"$folder/targets"
for name in "${lane[@]}"; do
  [ -n "${executables[$name]:-}" ] || { echo "tests.sh: there are no tests of the name $name" >&2; exit 1; }
done

# The lane's programs one after the other. Told to end, it takes the one that runs with it.
beside() {
  local name failed=0
  for name in "${lane[@]}"; do
    echo "     Running beside the others: $name (${executables[$name]})"
    cd "${folders[$name]}"
    "${executables[$name]}" &
    trap "kill $! 2>/dev/null; exit 1" TERM
    wait "$!" || failed=1
  done
  return "$failed"
}
beside >"$folder/beside" 2>&1 &
running=$!
# However this ends, nothing that holds a node or an API server stays behind.
trap 'kill "$running" 2>/dev/null || true; wait; rm -rf "$folder"' EXIT

failed=0
CARGO_TERM_COLOR=never "$cargo" test --no-fail-fast --workspace --lib --bins --benches --examples "${others[@]}" 2>&1 | tee "$folder/others" || failed=1
wait "$running" || failed=1
cat "$folder/beside"
[ "$failed" != 0 ] || exit 0

# The program and the name of each test that failed; a program that ended without a word of any has a name that no test has.
python3 - "$folder/others" "$folder/beside" "${!folder_of[@]}" >"$folder/failed" <<'END'
import os, re, sys

files = {os.path.basename(file): file for file in sys.argv[3:]}
for log in sys.argv[1:3]:
    program, names, is_over, is_listing = None, [], True, False

    def tell():
        for name in names or ([] if is_over else ["(ended)"]):
            print(program, name)

    for line in open(log, encoding="utf-8", errors="replace"):
        if start := re.match(r"     Running .*\((\S+)\)$", line):
            tell()
            program, names, is_over, is_listing = files[os.path.basename(start[1])], [], False, False
        elif line == "failures:\n":
            # There are two lists of this name, and the second has nothing but names.
            names, is_listing = [], True
        elif line.startswith("test result: "):
            is_over, is_listing = True, False
        elif is_listing and (name := re.match(r"    ([\w:]+)$", line)):
            names.append(name[1])
    tell()
END
count=$(wc -l <"$folder/failed")
if [ "$count" = 0 ] || [ "$count" -gt "$FEW" ]; then
  echo "tests.sh: $count tests failed, see above" >&2
  exit 1
fi
echo "tests.sh: $count failed, and are run a second time: $(cut -d' ' -f2 "$folder/failed" | paste -sd' ')" >&2
while read -r program name; do
  echo "     Running a second time: $name ($program)"
  cd "${folder_of[$program]}"
  # What no test is called by runs none, and is no success.
  "$program" --exact "$name" </dev/null 2>&1 | tee "$folder/again" || { echo "tests.sh: $name failed twice, see above" >&2; exit 1; }
  grep -q '^test result: ok. 1 passed' "$folder/again" || { echo "tests.sh: $name could not be run again, see above" >&2; exit 1; }
done <"$folder/failed"
