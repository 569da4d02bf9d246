#!/usr/bin/env bash
# Says before a build how long it may take; a build whose file is there already takes seconds, and needs no word.
set -euo pipefail
[ -e "$1" ] && exit 0
cores=$(nproc 2>/dev/null || echo 1)
minutes=$(( (12 + cores - 1) / cores ))
echo "The first build compiles some hundreds of crates: about $minutes min on this machine's $cores cores, and as long again"
echo "where crates come over a slow network. Later builds take seconds."
