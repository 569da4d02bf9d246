#!/usr/bin/env bash
# Says what an image of these programs takes: `size.sh PROGRAM…`. Each file, all of them, and all compressed, in MB of a million
# bytes.
set -euo pipefail

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
"$(dirname "$0")/rootfs.sh" "$root" "$@"
cd "$root"
find . -type f -printf '%s %P\n' | sort -rn | awk '
  $1 >= 50000 { printf "%6.2f MB  /%s\n", $1 / 1e6, $2 }
  { sum += $1 }
  END { printf "%6.2f MB  in all\n", sum / 1e6 }'
tar -cf - . | gzip -6 | wc -c | awk '{ printf "%6.2f MB  compressed\n", $1 / 1e6 }'
