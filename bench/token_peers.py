#!/usr/bin/env python3
"""Streams of tokens: Prony and its peers in the same run, beside the server's own account.

    cargo xtask bench token-peers [faults|truth|ceiling|open]... [CLIENT...]      (all without a word)

    faults   each fault of a stream: what each client reports, and what was done. Not sensitive to timing
    truth    paced streams: TTFT and ITL as reported less the server's account, at 1, 32 and 256 streams of 5 ms
    ceiling  output tokens for each CPU-second of the client: in bursts, and paced at 5 ms. What a run of a few tokens costs is
             taken off, so that the start does not count
    open     1,000 requests a second at random: the gaps between arrivals as the server saw them

The server of faults and truth is `prony serve truth`, whose account is read after each run; that of ceiling and open is bench/sse.c,
which never sleeps. The client, with all processes that it starts, is pinned to one core, the server to another. Clients take turns (A B C A
B C), and cells are medians; no run is made again. CLIENT is a part of a name (`vllm`, `aiperf`), which leaves out the others.
bench/install-peers.sh streams installs the peers. One that is missing, crashes or does not end is named with its error.

Environment: PRONY_BIN, PEERS, CPU_CLIENT, CPU_SERVER, ROUNDS="1:1 32:1 256:3" (streams:runs of truth), REPEATS=1 (ceiling, open),
RAW (a folder that keeps the output of every run).
"""

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import token_clients
import tokens as alone
from token_clients import CLIENTS, PRONY, Load

ENV = os.environ
CPU_SERVER = ENV.get("CPU_SERVER", "1")
REPEATS = int(ENV.get("REPEATS", 1))
RAW = Path(ENV.get("RAW") or tempfile.mkdtemp(prefix="token-peers-")).resolve()
MODES = ("truth", "ceiling", "open", "faults")
# What is done to every stream, by which knobs, and whether the answer is whole all the same.
FAULTS = (
    ("none", {}, True),
    ("empty: no token, then `[DONE]`", {"stream_fault": "empty"}, False),
    ("`event: error` after half", {"stream_fault": "error-event"}, False),
    ('`data: {"error"}` after half, `[DONE]`', {"stream_fault": "error"}, False),
    ("FIN within a chunk", {"stream_fault": "fin"}, False),
    ("RST after half", {"stream_fault": "reset"}, False),
    ("2 s stall after half", {"stream_fault": "stall=2000"}, True),
    ("orderly end after half, no finish", {"stream_fault": "truncate"}, False),
    ("role chunk at once, token at 50 ms", {"stream_fault": "role-early"}, True),
    ("all in `reasoning`", {"stream_fault": "reasoning=all"}, True),
    ("all in `reasoning_content`", {"stream_fault": "reasoning-content=all"}, True),
    ("4 tokens in each chunk", {"stream_chunk": "4"}, True),
)
# Requests of 1,000 tokens in a burst that keep each client but the first busy for two seconds or more.
BURST = {"prony": 8000, "vllm-rs bench": 1400, "sglang-bench (Rust)": 1000, "vllm bench serve": 400, "GuideLLM": 120, "AIPerf": 80}


class Truth:
    """`prony serve truth`, its knobs and its account of streams."""

    def __init__(self, **knobs):
        command = ["taskset", "-c", CPU_SERVER, PRONY, "serve", "truth", "--port", "0", "--admin-port", "0", "--until-stdin-closes"]
        for name, value in knobs.items():
            command += ["--set", f"{name}={value}"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        words = self.process.stdout.readline().split()
        named = dict(zip(words[::2], words[1::2]))
        self.url, self.admin = named["streams"], named["admin"]

    def ask(self, path, method="GET", body=None):
        request = urllib.request.Request(self.admin + path, method=method, data=json.dumps(body).encode() if body else None)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def begin(self, **knobs):
        """A new account, after these knobs have been turned."""
        if knobs:
            self.ask("/truth/knobs", "PUT", knobs)
        self.ask("/truth/reset", "POST")

    def account(self):
        return self.ask("/truth")["streams"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


class Bench:
    """The clients that are there, and their runs."""

    def __init__(self, wanted):
        token_clients.adopt()
        RAW.mkdir(parents=True, exist_ok=True)
        self.words = token_clients.tokenizer(Path(tempfile.mkdtemp(prefix="words-")) / "tok")
        self.clients, self.runs = [], 0
        for client in CLIENTS:
            if wanted and not any(word.lower() in client.name.lower() for word in wanted):
                continue
            if why := client.missing():
                print(f"not measured: {client.name}: {why}")
            else:
                self.clients.append(client)

    def run(self, client, load, what):
        self.runs += 1
        folder = RAW / f"{self.runs:03}-{what}-{client.name.split(' (')[0].replace(' ', '-')}"
        done = client.run(load, folder, self.words)
        print(f"  {what}, {client.name}: {done.wall_s:.1f} s, {done.cpu_s:.2f} s CPU, exit {done.exit} {done.error}", file=sys.stderr)
        return done


def table(title, header, rows):
    print(f"\n{title}\n")
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |")
    sys.stdout.flush()


def shown(value, digits=1):
    return "-" if value is None else f"{value:,.{digits}f}"


def median(values):
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def faults(bench):
    requests, tokens, rows, doubted = 20, 40, [], []
    with Truth(stream_ttft_ms=50, stream_itl_ms=5) as server:
        for name, knobs, whole in FAULTS:
            cells = []
            for client in bench.clients:
                server.begin(**{"stream_fault": "none", "stream_chunk": "1"} | knobs)
                done = bench.run(client, Load(server.url, tokens, requests, streams=4), "faults")
                account = server.account()
                if done.said and "INVALID" in done.said.note:
                    doubted.append(name)
                    done.said.note = ""
                cells.append(fault_cell(done, account, whole, requests, name))
            each = account["tokens"] / max(account["begun"], 1)
            true = f"{'good' if whole else 'broken'}, {each:.0f} tokens each"
            if whole and "mean" in account["ttft_ns"]:
                true += f", TTFT {account['ttft_ns']['mean'] / 1e6:.0f}"
            if (chunk := account["pacing"]["tokens_per_chunk"]) > 1:
                true += f", {5 / chunk:.2f} ms for each token"
            rows.append([name, true, *cells])
            print(" | ".join(rows[-1]), file=sys.stderr)
    title = f"faults: {requests} requests, 4 at a time, {tokens} tokens asked, TTFT 50 ms, 5 ms between events. Bold is what is not so"
    table(title, ["what is done to every stream", "truth", *[client.name for client in bench.clients]], rows)
    if doubted:
        print(f"\nProny called its times INVALID in {len(doubted)} of these runs.")


def fault_cell(done, account, whole, requests, name):
    """What was said; in bold where the account knows better."""
    said = done.said
    if said is None:
        return done.error.replace("no report", "**no report**" if whole else "no report")

    def marked(text, right):
        return text if right else f"**{text}**"

    if not said.ok:
        why = f" ({said.note})" if said.note else ""
        return marked(f"{said.failed} failed", not whole) + f"{why}, exit {done.exit}"
    right = whole and said.ok == requests
    parts = [marked(f"{said.ok} ok" + (f", {said.failed} failed" if said.failed else ""), right)]
    parts[0] += f" ({said.note})" if said.note else ""
    if said.tokens is not None:
        parts.append(marked(f"{said.tokens:.0f} tokens", said.tokens == account["tokens"]))
    if whole:
        true = account["ttft_ns"]["mean"] / 1e6
        # A busy machine makes it greater; only what came before the token is not so.
        parts.append("no TTFT" if said.ttft_mean is None else marked(f"TTFT {said.ttft_mean:.0f}", said.ttft_mean > true / 2))
    if said.itl_mean is not None and account["pacing"]["tokens_per_chunk"] > 1:
        parts.append(f"ITL mean {said.itl_mean:.2f}")
    if "stall" in name and said.itl_p99 is not None:
        parts.append(marked(f"ITL p99 {said.itl_p99:.0f}", said.itl_p99 > 1000))
        if said.gap_p99 != said.itl_p99 and said.gap_p99 is not None:
            parts[-1] += f" (its file: gaps {said.gap_p99:.0f})"
    return ", ".join(parts)


def truth(bench):
    rows = []
    with Truth(stream_ttft_ms=50, stream_itl_ms=5) as server:
        for pair in ENV.get("ROUNDS", "1:1 32:1 256:3").split():
            streams, rounds = map(int, pair.split(":"))
            tokens, requests = (40, max(8, streams * 10)) if streams < 100 else (200, streams * 2)
            runs = {client.name: [] for client in bench.clients}
            for _ in range(rounds):
                for client in bench.clients:
                    server.begin()
                    done = bench.run(client, Load(server.url, tokens, requests, streams=streams, keep=True), f"truth-{streams}")
                    runs[client.name].append((done, server.account()))
            rows += [truth_row(f"{streams} ({requests} x {tokens} tokens)", name, requests, made) for name, made in runs.items()]
    header = ["streams", "client", "TTFT mean, true / said", "TTFT p99, true / said / error", "ITL mean, true / said", "ITL p99, true / said / error"]
    table("truth: TTFT 50 ms, 5 ms between tokens; ms, medians over runs", [*header, "CPU s", "runs"], rows)


def truth_row(what, name, requests, made):
    good = [(done.said, account) for done, account in made if done.said and done.said.ok]
    if not good:
        return [what, name, *["-"] * 5, "; ".join(sorted({done.error or "no good answer" for done, _ in made}))]

    def pair(which, quantile, digits):
        true = [account[f"{which}_ns"][quantile] / 1e6 for _, account in good]
        heard = [said_of(said, which, quantile) for said, _ in good]
        cells = [shown(median(true), digits), shown(median(heard), digits)]
        if quantile == "p99":
            errors = [said - mine for said, mine in zip(heard, true) if said is not None]
            cells.append(f"{median(errors):+.{digits}f}" if errors else "-")
        return " / ".join(cells)

    remarks = [f"{len(good)} of {len(made)}"] if len(good) < len(made) else [str(len(made))]
    remarks += sorted({f"{said.ok} of {requests} ok" for said, _ in good if said.ok != requests})
    remarks += sorted({said.note for said, _ in good if said.note})
    used = shown(median([done.cpu_s for done, _ in made]))
    return [what, name, pair("ttft", "mean", 1), pair("ttft", "p99", 1), pair("itl", "mean", 3), pair("itl", "p99", 2), used, "; ".join(remarks)]


def said_of(said, which, quantile):
    """Its figure; the quantile of single gaps where it writes one, since that is what the account has."""
    if which == "itl" and quantile == "p99" and said.gap_p99 is not None:
        return said.gap_p99
    return getattr(said, f"{which}_{quantile}")


def ceiling(bench):
    found = {client.name: {"burst": [], "paced": []} for client in bench.clients}
    remarks = {client.name: [] for client in bench.clients}

    def made(client, pace, load, what):
        with alone.Server(*pace) as server:
            load.url = f"http://127.0.0.1:{server.port}"
            done = bench.run(client, load, f"ceiling-{what}")
            delivered = server.truth()["tok"]
        if done.said is None or not done.said.ok:
            remarks[client.name].append(f"{what}: {done.error or 'no good answer'}")
            return None
        if done.said.ok < load.requests:
            remarks[client.name].append(f"{what}: {done.said.ok} of {load.requests} ok")
        return delivered, done.cpu_s

    for _ in range(REPEATS):
        start = {client.name: made(client, (0, 0, 10), Load("", 10, 32, streams=32), "start") for client in bench.clients}
        for what, pace in (("burst", (0, 0, 1000)), ("paced", (50_000, 5000, 200))):
            for client in bench.clients:
                load = Load("", 1000, BURST[client.name], streams=32) if what == "burst" else Load("", 200, 512, streams=256)
                much, little = made(client, pace, load, what), start[client.name]
                if much and little:
                    more = much[1] - little[1]
                    if more > 0:
                        found[client.name][what].append((much[0] - little[0]) / more)
                    else:
                        remarks[client.name].append(f"{what}: not more CPU than the start alone, so nothing can be said")
    rows = []
    for name, of in found.items():
        cells = ["-" if (rate := median(of[what])) is None else f"{rate / 1e3:,.0f} k" for what in ("burst", "paced")]
        rows.append([name, *cells, "; ".join(remarks[name])])
    title = f"ceiling: output tokens for each CPU-second of the client, medians of {REPEATS}"
    table(title, ["client", "bursts, 32 streams", "paced at 5 ms, 256 streams", "remarks"], rows)


def arrivals(bench):
    rate, seconds = 1000, 4
    runs = {client.name: [] for client in bench.clients}
    for _ in range(REPEATS):
        for client in bench.clients:
            with alone.Server(2000, 1000, 4) as server:
                load = Load(f"http://127.0.0.1:{server.port}", 4, rate * seconds, rate=rate, seconds=seconds)
                runs[client.name].append((bench.run(client, load, "open"), server.truth()))
    rows = []
    for name, made in runs.items():
        good = [(done.said, account) for done, account in made if done.said and done.said.ok and "arr_cv" in account]
        if not good:
            rows.append([name, *["-"] * 6, "; ".join(sorted({done.error or "no good answer" for done, _ in made}))])
            continue

        def middle(of):
            return median([of(said, account) for said, account in good])

        cells = [f"{middle(lambda _, a: 1000 / a['arr_mean_ms']):,.0f}/s", f"{middle(lambda _, a: a['arr_cv']):.2f}"]
        cells += [f"{middle(lambda _, a: a['arr_lt100us']) * 100:.1f} %", shown(middle(lambda _, a: a["ttft_mean_ms"]), 2)]
        cells += [shown(middle(lambda s, _: s.ttft_mean), 2), shown(middle(lambda s, _: s.ttft_p99), 2)]
        rows.append([name, *cells, "; ".join([f"{good[0][1]['req']} arrivals", *sorted({s.note for s, _ in good if s.note})])])
    theory = f"theory: 1.00 and {(1 - math.exp(-rate * 1e-4)) * 100:.1f} %"
    header = ["client", "rate at the server", "coefficient of variation", "gaps below 100 us", "TTFT mean, true", "said", "p99 said", "remarks"]
    table(f"open: {rate:,} requests a second at random for {seconds} s, 4 tokens each, TTFT 2 ms ({theory}); medians of {REPEATS}", header, rows)


def main():
    words = sys.argv[1:]
    if any(word in ("-h", "--help", "help") for word in words):
        print(__doc__)
        return 0
    modes = [word for word in words if word in MODES] or list(MODES)
    clients = [word for word in words if word not in MODES]
    if unknown := [word for word in clients if not any(word.lower() in client.name.lower() for client in CLIENTS)]:
        print(f"neither a measurement nor a client: {' '.join(unknown)}\n\n{__doc__}", file=sys.stderr)
        return 64
    alone.SSE = alone.build()
    bench, began = Bench(clients), time.monotonic()
    for mode in modes:
        {"faults": faults, "truth": truth, "ceiling": ceiling, "open": arrivals}[mode](bench)
    print(f"\n{bench.runs} runs in {time.monotonic() - began:.0f} s; their output: {RAW}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
