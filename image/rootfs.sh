#!/usr/bin/env bash
# Makes the root folder of an image: `rootfs.sh FOLDER PROGRAM…`. The programs, stripped, in /usr/local/bin, the shared
# libraries that they name, certificates of public authorities, and a user. The Dockerfile beside it and the tests of
# the cluster make their images from it, so that both are the same. Names that link to one program stay links to it.
set -euo pipefail

folder=$1
shift
mkdir -p "$folder/usr/local/bin" "$folder/etc/ssl/certs"

for program in "$@"; do
  file=$(realpath "$program")
  into=$folder/usr/local/bin/$(basename "$file")
  if [ ! -e "$into" ]; then
    cp "$file" "$into"
    chmod 755 "$into"
    strip "$into" 2>/dev/null || true # a script has nothing to strip
    # `name => path (address)`, or for the loader `path (address)`.
    { ldd "$file" 2>/dev/null || true; } | grep -o '/[^ ]*' | sort -u | while read -r library; do
      mkdir -p "$folder$(dirname "$library")"
      cp -L "$library" "$folder$library"
    done
  fi
  name=$folder/usr/local/bin/$(basename "$program")
  [ -e "$name" ] || ln -s "$(basename "$file")" "$name"
done

cp -L /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/"
echo 'sluicegate:x:65532:65532::/:/nonexistent' >"$folder/etc/passwd"
echo 'sluicegate:x:65532:' >"$folder/etc/group"
echo 'hosts: files dns' >"$folder/etc/nsswitch.conf"
