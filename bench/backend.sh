#!/usr/bin/env bash
# What the reference backend costs: requests per second on one core, and its memory over many requests. It needs wrk, taskset and a
# release build (target/release/prony, or PRONY_BIN).
#
#   bench/backend.sh rate   [PRESET PATH [KNOB=VALUE...]]    server on core 0, wrk on core 1; also per second of the server's CPU time
#   bench/backend.sh memory [REQUESTS [KNOB=VALUE...]]       resident memory after each twentieth of so many requests to truth's /null
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${PRONY_BIN:-target/release/prony}
mode=${1:-rate}
shift || true
folder=$(mktemp -d)

serve() { # PRESET ADMIN(yes|no) KNOB=VALUE...
    local preset=$1 admin=$2 sets=()
    shift 2
    for knob in "$@"; do sets+=(--set "$knob"); done
    [ "$admin" = yes ] && sets+=(--admin-port 0)
    taskset -c 0 "$bin" serve "$preset" --port 0 "${sets[@]}" >"$folder/ready" 2>/dev/null &
    pid=$!
    trap 'kill "$pid" 2>/dev/null; rm -rf "$folder"' EXIT
    for _ in $(seq 200); do
        grep -q '^ready' "$folder/ready" && break
        sleep 0.1
    done
    url=$(awk '{print $2}' "$folder/ready")
}

ticks() { awk '{print $14 + $15}' "/proc/$pid/stat"; }

load() { # URL SECONDS [LUA]: prints how many requests were answered
    taskset -c 1 wrk -t1 -c32 "-d${2}s" ${3:+-s "$3"} "$1" >"$folder/wrk"
    if grep -qi 'non-2xx\|socket errors' "$folder/wrk"; then
        cat "$folder/wrk" >&2
        exit 1
    fi
    awk '/requests in/ {print $1}' "$folder/wrk"
}

case $mode in
rate)
    preset=${1:-truth} path=${2:-/null}
    shift $(($# < 2 ? $# : 2))
    for admin in no yes; do
        serve "$preset" "$admin" "$@"
        load "$url$path" 1 >/dev/null
        before=$(ticks)
        count=$(load "$url$path" 5)
        after=$(ticks)
        awk -v n="$count" -v t="$((after - before))" -v hz="$(getconf CLK_TCK)" -v what="$preset $path, admin port: $admin" \
            'BEGIN {printf "%s: %.0f requests/s; %.0f per second of CPU time (%.0f %% of a core)\n", what, n / 5, n * hz / t, 100 * t / hz / 5}'
        kill "$pid" && wait "$pid" 2>/dev/null || true
    done
    ;;
memory)
    total=${1:-10000000}
    shift $(($# < 1 ? $# : 1))
    serve truth yes "$@"
    # Sixteen requests at a time, which is less work for both sides.
    echo 'init = function() local r = {} for i = 1, 16 do r[i] = wrk.format() end all = table.concat(r) end
request = function() return all end' >"$folder/pipeline.lua"
    done=0 next=0
    while [ "$done" -lt "$total" ]; do
        done=$((done + $(load "$url/null" 5 "$folder/pipeline.lua")))
        if [ "$done" -ge "$next" ]; then
            printf '%10d requests: %s KiB\n' "$done" "$(awk '/VmRSS/ {print $2}' "/proc/$pid/status")"
            next=$((next + total / 20))
        fi
    done
    ;;
*)
    sed -n '2,6p' "$0"
    exit 64
    ;;
esac
