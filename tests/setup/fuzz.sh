#!/usr/bin/env bash
# Fuzzes every target for FUZZ_SECONDS (60). `fuzz.sh TARGET` fuzzes one, `fuzz.sh TARGET FILE` runs one input again.
set -uo pipefail
cd "$(dirname "$0")/../.."

seconds=${FUZZ_SECONDS:-60}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate
work=$cache/fuzz
version=0.13.2
# Sanitizers and coverage are not stable; the compiler that builds the product is the one that should be fuzzed.
export RUSTC_BOOTSTRAP=1
# Leaks are no memory errors in Rust, and looking for them needs rights that containers lack.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}
cargo_fuzz=$cache/bin/cargo-fuzz

if [ "$("$cargo_fuzz" --version 2>/dev/null)" != "cargo-fuzz $version" ]; then
  echo "installing cargo-fuzz $version into $cache"
  cargo install --root "$cache" cargo-fuzz --version "$version" --locked || exit 1
fi
mkdir -p "$work"
targets=${1:-$(for file in fuzz/fuzz_targets/*.rs; do basename "$file" .rs; done)}

build() { nice "$cargo_fuzz" fuzz build --fuzz-dir fuzz --target-dir "$work/target" --sanitizer "$1" >"$work/build.log" 2>&1; }
sanitizer=address
if ! build $sanitizer; then
  echo "does not build with the address sanitizer ($(grep -m1 '^error' "$work/build.log")): going on without"
  sanitizer=none
  build $sanitizer || { tail -n 40 "$work/build.log"; exit 1; }
fi

# What a target begins with: the fixtures of what it reads, each under a name made of its path.
seed() {
  local target=$1 into=$2 folders=dialects/testdata names='*/requests/*.json'
  case $target in
    sse | event_stream | stream | observe) names='*/streams/*.sse' ;;
    fold) names='*.[sj]s[eo]*' ;;
    reply) names='*/replies/*.json' ;;
    error) names='*/errors/*.json' ;;
    shadow) names='*/streams/*.sse' ;;
    kept) names='*responses*' ;;
    prices) folders=charts/sluicegate/files names='*/prices.yaml' ;;
    manifests) folders='config/testdata crds/examples' names='*.yaml' ;;
  esac
  # What has no fixtures of its own has seeds beside the targets.
  [ ! -d "fuzz/seeds/$target" ] || { folders=fuzz/seeds/$target names='*'; }
  mkdir -p "$into"
  # shellcheck disable=SC2086 # folders are two words for a reason
  find $folders -type f -path "$names" | while read -r file; do cp "$file" "$into/seed-${file//\//-}"; done
}

run() { # target, libFuzzer's own arguments
  local target=$1
  shift
  nice "$cargo_fuzz" fuzz run --fuzz-dir fuzz --target-dir "$work/target" --sanitizer "$sanitizer" "$target" "$@" 2>&1
}

if [ $# -eq 2 ]; then
  run "$1" "$2" -- -runs=1 -timeout=25
  exit
fi

passed=0 failed=0
for target in $targets; do
  corpus=$work/corpus/$target artifacts=$work/artifacts/$target log=$work/$target.log
  seed "$target" "$corpus"
  mkdir -p "$artifacts"
  if run "$target" "$corpus" -- -max_total_time="$seconds" -dict=fuzz/words.dict -timeout=25 -rss_limit_mb=2048 \
    -max_len=16384 -artifact_prefix="$artifacts/" -print_final_stats=1 >"$log"; then
    passed=$((passed + 1))
    echo "ok      $target ($(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs)"
  else
    failed=$((failed + 1))
    file=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    echo "FAILED  $target"
    grep -m1 -A6 -E 'panicked at|ERROR: (AddressSanitizer|libFuzzer)' "$log" | cut -c -600
    echo "        again: tests/setup/fuzz.sh $target ${file:-(no input was written; see $log)}"
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
