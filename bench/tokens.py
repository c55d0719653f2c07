#!/usr/bin/env python3
"""Streams of tokens against a server whose truth is known (bench/sse.c): are the reported times right, and what does a token cost?

    cargo xtask bench tokens [truth|ceiling|open|start|faults|memory|slow]...      (all without a word)

    truth    paced streams: reported TTFT and ITL beside the server's own, at each time to the first token (TTFTS), gap (ITLS) and
             number of streams (STREAMS)
    ceiling  output tokens recorded per CPU-second of the client: in bursts, and paced at 5 ms. Marginal between two lengths of
             load, so that the start does not count
    open     1,000 requests per second at random: the gaps between arrivals as the server saw them
    start    from launch to the first request
    faults   each fault of the server: the outcome and figures that are reported
    memory   greatest resident memory after so many tokens
    slow     the same with ten thousand streams of a token a second

The client is pinned to one core (CPU_CLIENT, 0), the server to another (CPU_SERVER, 1). PRIORITY=1 runs both before all others
(nice -20), where that is allowed: for machines that others use too. Not at real-time priority: the server never sleeps, and Linux
stops such a thread for 50 ms of every second. Every run is shown; none is made again.

Environment: PRONY_BIN, TTFTS="50" ms, ITLS="5 10 20" ms, STREAMS="1 32 256 1000", REPEATS=3, PRIORITY.
"""

import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).resolve().parent
ENV = os.environ
PRONY = ENV.get("PRONY_BIN", str(HERE.parent / "target" / "release" / "prony"))
CPU_CLIENT, CPU_SERVER = ENV.get("CPU_CLIENT", "0"), ENV.get("CPU_SERVER", "1")
HURRY = ["nice", "-n", "-20"] if ENV.get("PRIORITY") else []
REPEATS = int(ENV.get("REPEATS", 3))
WORK = Path(tempfile.mkdtemp(prefix="tokens-"))


def numbers(name, default):
    return [int(n) for n in ENV.get(name, default).split()]


def build():
    binary = WORK / "sse"
    subprocess.run(["cc", "-O2", "-w", "-o", binary, HERE / "sse.c", "-lm"], check=True)
    return binary


class Server:
    """The truth: `ttft` and `itl` in microseconds; gap 0 and ttft 0 is as fast as the socket takes it."""

    def __init__(self, ttft, itl, tokens, fault="none", per_chunk=1, role=1):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        words = [self.port, ttft, itl, tokens, fault, per_chunk, role]
        command = HURRY + ["taskset", "-c", CPU_SERVER, SSE, *words]
        self.process = subprocess.Popen([str(word) for word in command])
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise SystemExit("the server did not start")

    def truth(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/truth", timeout=10) as answer:
            return json.load(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def load(server, *words, tokens=200):
    """Prony's document, the CPU seconds it took, and its greatest resident memory in MiB."""
    command = HURRY + ["taskset", "-c", CPU_CLIENT, PRONY, "load", f"http://127.0.0.1:{server.port}"]
    command += ["--stream", "openai-chat", "--max-tokens", str(tokens), "--json", "--allow-failures", "1", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    out = process.stdout.read()
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = 0
    return json.loads(out), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def verdict(document):
    issues = ",".join(sorted({i["name"] for i in document["validity"]["invalid"]}))
    return "valid" if not issues else f"INVALID ({issues})"


def truth():
    print("TTFT   gap   streams | TTFT mean true / said, p99 said | ITL mean true / said, p99 true / said | tokens/s | ")
    cases = itertools.product(numbers("TTFTS", "50"), numbers("ITLS", "5 10 20"), numbers("STREAMS", "1 32 256 1000"), range(REPEATS))
    for first, itl, streams, _ in cases:
        with Server(first * 1000, itl * 1000, 200) as server:
            requests = max(2, min(streams * 4, 1536)) if streams < 1000 else 2000
            # The server accepts slowly, and its own account of a first token begins only then.
            document, cpu, _ = load(server, "-c", streams, "-n", requests, "--timeout", "60s", "--connect-rate", 2000)
            true = server.truth()
        s = document["streams"][0]
        ttft, gap = s["ttft"], s["chunk_gap"]
        print(
            f"{first:>3} ms {itl:>2} ms {streams:>5} | {true['ttft_mean_ms']:8.3f} {ttft['mean_ms']:8.3f} {ttft['p99_ms'] or 0:8.3f} "
            f"max {true['ttft_max_ms']:7.3f} {ttft['max_ms']:7.3f} | {true['itl_mean_ms']:7.4f} {s['itl']['mean_ms']:7.4f} "
            f"{true['itl_p99_ms']:7.3f} {gap['p99_ms'] or 0:7.3f} | {s['tokens_per_s']:8.0f} | "
            f"{s['ok']}/{requests} ok, {cpu:.2f} s CPU, {verdict(document)}",
            flush=True,
        )


def ceiling():
    print("mode     streams | output tokens per CPU-second of the client, marginal (every run)")
    for mode, ttft, itl, tokens, lengths in (("burst", 0, 0, 1000, (400, 4400)), ("5 ms", 50_000, 5000, 200, (2, 8))):
        for streams in (1, 32, 256) if mode == "burst" else (32, 256):
            found = []
            for _ in range(REPEATS):
                with Server(ttft, itl, tokens) as server:
                    points = []
                    for length in lengths:
                        n = length if mode == "burst" else length * streams
                        document, cpu, _ = load(server, "-c", streams, "-n", n, "--timeout", "60s", tokens=tokens)
                        points.append((document["streams"][0]["event_tokens"], cpu))
                (t0, c0), (t1, c1) = points
                found.append((t1 - t0) / (c1 - c0))
            each = " ".join(f"{f / 1e3:.0f}k" for f in found)
            print(f"{mode:<8} {streams:>7} | median {statistics.median(found) / 1e3:.0f}k ({each})", flush=True)


def arrivals():
    print("open loop, 1,000/s Poisson, 10 s: rate, coefficient of variation, share of gaps below 100 us (theory 1.00 and 9.5 %)")
    for _ in range(REPEATS):
        with Server(2000, 1000, 4) as server:
            document, _, _ = load(server, "--rate", 1000, "-d", "10s", "--in-flight", 2000, tokens=4)
            true = server.truth()
        ttft = document["streams"][0]["ttft"]
        print(
            f"{1000 / true['arr_mean_ms']:.0f}/s, {true['arr_cv']:.3f}, {true['arr_lt100us'] * 100:.1f} %; TTFT {ttft['mean_ms']:.2f} "
            f"p99 {ttft['p99_ms']} (true mean {true['ttft_mean_ms']:.2f}); {verdict(document)}",
            flush=True,
        )


def start():
    found = []
    for _ in range(max(REPEATS, 5)):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            command = HURRY + ["taskset", "-c", CPU_CLIENT, PRONY, "load", f"http://127.0.0.1:{port}", "--stream", "openai-chat"]
            began = time.monotonic()
            client = subprocess.Popen([*command, "-c", "1", "-n", "1", "--timeout", "1s"], stdout=-3, stderr=-3)
            connection, _ = server.accept()
            connection.recv(1)
            found.append((time.monotonic() - began) * 1e3)
            connection.close()
            client.wait()
    print(f"start to first request: median {statistics.median(found):.1f} ms ({' '.join(f'{f:.1f}' for f in found)})")


def faults():
    print("fault             | outcomes (of 20) and figures")
    cases = [("role at once", "none", 1, 0), ("4 tokens a chunk", "none", 4, 1)]
    named = "reasoning reasoning_content empty errmid errevent truncclean fin rst stall"
    cases += [(fault, fault, 1, 1) for fault in named.split()]
    for name, fault, per_chunk, role in cases:
        with Server(50_000, 5000, 40, fault, per_chunk, role) as server:
            document, _, _ = load(server, "-c", 4, "-n", 20, tokens=40)
        outcomes = ", ".join(f"{o['n']} {o['outcome']}" for o in document["outcomes"])
        s = document["streams"][0]
        figures = ""
        if s["ok"]:
            figures = (
                f"; TTFT {s['ttft']['mean_ms']:.2f}, first event {s['first_event']['mean_ms']:.2f}, ITL {s['itl']['mean_ms']:.3f}, "
                f"chunk gap {s['chunk_gap']['mean_ms']:.3f}, TPOT {s['tpot']['mean_ms']:.3f}, longest gap {s['longest_gap']['mean_ms']:.0f}, "
                f"stalls {s['stalls']}, tokens {s['usage_output']} by usage, {s['event_tokens']} in events"
            )
        print(f"{name:<17} | {outcomes}{figures}", flush=True)


def memory():
    for requests in (5_000, 10_000, 30_000):
        with Server(0, 0, 1000) as server:
            document, _, rss = load(server, "-c", 32, "-n", requests, tokens=1000)
        print(f"{document['streams'][0]['event_tokens'] / 1e6:.0f} M tokens: {rss:.1f} MiB at most", flush=True)


def slow():
    """Ten thousand streams of a token a second, from the reference backend: what holding them open costs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        server = SimpleNamespace(port=free.getsockname()[1])
    words = [PRONY, "serve", "truth", "--port", "0", "--admin-port", "0", "--until-stdin-closes"]
    for knob in (f"stream_port={server.port}", "stream_ttft_ms=100", "stream_itl_ms=1000"):
        words += ["--set", knob]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if not process.stdout.readline().startswith("ready"):
        raise SystemExit("the server did not start")
    document, _, rss = load(server, "-c", 10_000, "-n", 10_000, "--timeout", "100s", "--connect-rate", 2000, tokens=25)
    process.stdin.close()
    process.wait(20)
    print(f"{document['streams'][0]['ok']:,} streams at once, {verdict(document)}: {rss:.1f} MiB at most", flush=True)


MODES = {"truth": truth, "ceiling": ceiling, "open": arrivals, "start": start, "faults": faults, "memory": memory, "slow": slow}

if __name__ == "__main__":
    wanted = sys.argv[1:] or list(MODES)
    if unknown := [word for word in wanted if word not in MODES]:
        raise SystemExit(f"no such measurement: {' '.join(unknown)}\n\n{__doc__}")
    SSE = build()
    for word in wanted:
        print(f"== {word}")
        MODES[word]()
