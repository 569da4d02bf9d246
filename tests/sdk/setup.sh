#!/bin/sh
# Installs the vendors' SDKs that judge: Python's and the coding agents into a cache that is keyed by the pinned versions,
# Node's beside its tests. Does nothing when they are there. Prints the
# Python of the SDKs and that of the frameworks.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate
mkdir -p "$cache"

# Two test runs at once would install into the same place.
if [ "${SLUICEGATE_SDK_SETUP_LOCKED:-}" != yes ] && command -v flock >/dev/null; then
    SLUICEGATE_SDK_SETUP_LOCKED=yes exec flock "$cache/sdk-setup.lock" "$0" "$@"
fi

missing() {
    echo "The SDK tests need $1: install $2 and run them again." >&2
    exit 1
}
command -v python3 >/dev/null || missing python3 "Python 3.10 or newer with its venv module (Debian: python3-venv)"
command -v node >/dev/null || missing node "Node.js 20 or newer"
command -v npm >/dev/null || missing npm "npm (it comes with Node.js)"

hash_of() { cat "$@" | cksum | tr ' ' -; }

# The environment for a list of requirements: made once, and named by what is in it.
environment() {
    venv=$cache/venv-$(hash_of "$1")
    if [ ! -e "$venv/ready" ]; then
        rm -rf "$venv"
        python3 -m venv "$venv" >&2 || missing "python3's venv module" "it (Debian: python3-venv)"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$1" >&2
        touch "$venv/ready"
    fi
    echo "$venv/bin/python"
}
python=$(environment "$here/python/requirements.txt")
# They want older SDKs than the ones that judge by themselves.
frameworks=$(environment "$here/python/requirements-frameworks.txt")

stamp=$here/node/node_modules/ready-$(hash_of "$here/node/package-lock.json")
if [ ! -e "$stamp" ]; then
    (cd "$here/node" && npm ci --no-audit --no-fund --loglevel=error >&2)
    touch "$stamp"
fi

# The agents are large: beside the caches, not in the checkout.
agents=$cache/agents-$(hash_of "$here/agents/package-lock.json")
if [ ! -e "$agents/ready" ]; then
    rm -rf "$agents"
    mkdir -p "$agents"
    cp "$here/agents/package.json" "$here/agents/package-lock.json" "$agents"
    (cd "$agents" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
    touch "$agents/ready"
fi
ln -sfn "$agents/node_modules" "$here/agents/node_modules"

echo "$python"
echo "$frameworks"
