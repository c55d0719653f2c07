#!/usr/bin/env python3
"""Prony beside its peers on one loopback server: what a request costs, how even the pace is, and who tells the truth.

    cargo xtask bench peers [closed|file|pace|co|idle|rss] [TOOL...]      (all tools that are found)

    closed   closed loop, a 100-byte answer from nginx: CPU-seconds per million requests at each number of connections
    file     closed loop, 1 MiB bodies: CPU-seconds per GB
    pace     open loop: the rate that the server saw, CPU per request, latencies
    co       open loop against a server that stands still for a second every ten: reported latencies beside the truth
    idle     Prony's resident memory with 100 to 10,000 idle connections
    rss      Prony's greatest resident memory after one, ten and more million requests

The client is pinned to one core, the server to another; requests are counted by the server; runs are interleaved (A B C A B
C) and the medians shown. The CPUs of a virtual machine may move apart between runs: a cache-line probe waits for a good
moment before each run and marks runs that had none. Only ratios within one table mean anything. bench/install-peers.sh
installs the peers; one that is missing is left out, with a line that says so.

Environment: C="1 16 64 256 1000" connections, D seconds, REP repeats, RATES="2000 10000", REQUESTS="1000000 10000000" (rss),
CPU_CLIENT, CPU_SERVER, PORT, PEERS (folder), OUT (folder for raw output), PRONY_BIN, GATE (ns of the probe).
"""

import json
import math
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ENV = os.environ
PEERS = Path(ENV.get("PEERS", Path.home() / ".cache" / "peers"))
CPU_CLIENT, CPU_SERVER = ENV.get("CPU_CLIENT", "0"), ENV.get("CPU_SERVER", "1")
with socket.create_server(("127.0.0.1", int(ENV.get("PORT", 0)))) as free:
    PORT = free.getsockname()[1]
GATE_NS, GATE_S = int(ENV.get("GATE", 160)), 6.0
PRONY = ENV.get("PRONY_BIN", str(ROOT / "target" / "release" / "prony"))
MODES = ("closed", "file", "pace", "co", "idle", "rss")

K6 = "k6 run --quiet --no-usage-report --no-color -e URL={url} -e DUR={d} -e VUS={c} "
CLOSED = {
    "prony": PRONY + " load {url} -c {c} -d {d}s",
    "prony-digest": PRONY + " load {url} -c {c} -d {d}s --expect-body xxh3={digest}",
    "wrk": "wrk -t1 -c{c} -d{d}s --latency {url}",
    "h2load": "h2load --h1 -t1 -c{c} -D{d} {url}",
    "oha": "oha --no-tui -z {d}s -c {c} --output-format json {url}",
    "ab": "ab -q -k -c {c} -t {d} -n 100000000 {url}",
    "hey": "hey -z {d}s -c {c} {url}",
    "fortio": "fortio load -quiet -qps -1 -c {c} -t {d}s {url}",
    "vegeta": "sh -c 'echo GET {url} | vegeta attack -rate=0 -workers={c} -max-workers={c} -duration={d}s | vegeta report -type=json'",
    "k6": K6 + "{dir}/k6.js",
}
OPEN = {
    "prony": PRONY + " load {url} --rate {rate} --arrivals constant --in-flight 4000 -d {d}s",
    "prony-spin": PRONY + " load {url} --rate {rate} --arrivals constant --in-flight 4000 -d {d}s --spin 200us",
    "wrk2": "wrk2 -t1 -c{c} -d{d}s -R{rate} --latency {url}",
    "oha": "oha --no-tui -z {d}s -c {c} -q {rate} --output-format json {url}",
    "oha-corrected": "oha --no-tui -z {d}s -c {c} -q {rate} --latency-correction --output-format json {url}",
    "hey": "hey -z {d}s -c {c} -q {per_connection} {url}",
    "fortio": "fortio load -quiet -qps {rate} -c {c} -t {d}s {url}",
    "vegeta": "sh -c 'echo GET {url} | vegeta attack -rate={rate} -workers={c} -duration={d}s | vegeta report -type=json'",
    "k6": K6 + "-e RATE={rate} -e MAXVUS=3000 {dir}/k6.js",
}
K6_SCRIPT = """import http from 'k6/http';
const e = __ENV;
const s = e.RATE
  ? { executor: 'constant-arrival-rate', rate: +e.RATE, timeUnit: '1s', duration: e.DUR + 's', preAllocatedVUs: +e.VUS, maxVUs: +e.MAXVUS }
  : { executor: 'constant-vus', vus: +e.VUS, duration: e.DUR + 's' };
export const options = { discardResponseBodies: true, scenarios: { s }, summaryTrendStats: ['p(50)', 'p(99)', 'p(99.9)'] };
export default function () { http.get(e.URL); }
"""
NGINX = """worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log warn;
events {{ worker_connections 16384; use epoll; multi_accept on; }}
http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 3600s;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  open_file_cache max=16 inactive=3600s; open_file_cache_valid 3600s; default_type application/octet-stream;
  server {{ listen 127.0.0.1:{port} backlog=8192; root {dir}/www;
    location = /s {{ return 200 "{body}"; }}
    location = /status {{ stub_status; }} }} }}
"""


def figures(tool, out):
    """p50, p99, p99.9 in ms and requests per second, as the tool itself reports them."""
    tool = tool.split("-")[0]
    unit = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
    time_ms = lambda text: sum(float(n) * unit[u] for n, u in re.findall(r"([\d.]+)(ns|us|µs|ms|s|m)", text))  # noqa: E731

    def found(pattern, scale=time_ms):
        match = re.search(pattern, out, re.M)
        return scale(match[1]) if match else None

    if tool in ("wrk", "wrk2"):
        lines = {"p50": r"^\s+50(?:\.0+)?%\s+(\S+)", "p99": r"^\s+99(?:\.0+)?%\s+(\S+)", "p99.9": r"^\s+99\.90+%\s+(\S+)"}
        return {name: found(line) for name, line in lines.items()}
    if tool == "oha":
        latencies = json.loads(out)["latencyPercentiles"]
        return {name: latencies[name] * 1e3 for name in ("p50", "p99", "p99.9")}
    if tool == "vegeta":
        latencies = json.loads(out.splitlines()[0])["latencies"]
        return {"p50": latencies["50th"] / 1e6, "p99": latencies["99th"] / 1e6}
    if tool == "k6":
        line = re.search(r"http_req_duration\.*:(.*)", out)[1]
        return {name: time_ms(re.search(re.escape(f"p({name[1:]})=") + r"(\S+)", line)[1]) for name in ("p50", "p99", "p99.9")}
    if tool == "hey":
        return {name: found(rf"{name[1:]}%+ in ([\d.]+) secs", lambda s: float(s) * 1e3) for name in ("p50", "p99")}
    if tool == "ab":
        return {name: found(rf"^\s+{name[1:]}%\s+(\d+)", float) for name in ("p50", "p99")}
    if tool == "fortio":
        return {name: found(rf"# target {name[1:]}% ([\d.]+)", lambda s: float(s) * 1e3) for name in ("p50", "p99", "p99.9")}
    if tool == "prony":
        lag = found(r"^send lag +\S+ +\S+ +\S+ +\S+ +(\d\S*)")
        return {"lag": lag} | {name: found(re.escape(name) + r"=(\S+)") for name in ("p50", "p99", "p99.9")}
    return {}


class Bench:
    def __init__(self, mode, wanted):
        self.mode = mode
        self.dir = Path(tempfile.mkdtemp(prefix="peers-"))
        # nginx gives up its rights, and must read what it serves.
        self.dir.chmod(0o755)
        self.out = Path(ENV.get("OUT", self.dir.with_name(self.dir.name + "-raw")))
        self.out.mkdir(parents=True, exist_ok=True)
        self.commands = OPEN if mode in ("pace", "co") else CLOSED
        self.tools = [] if mode in ("idle", "rss") else [tool for tool in (wanted or self.commands) if self.present(tool)]
        self.children = []
        self.digest = ""

    def learn_digest(self, url):
        """The digest of the body there, as a check that fails tells it."""
        wrong = [PRONY, "load", url, "-c", "1", "-n", "1", "--expect-body", f"xxh3={0:016x}"]
        says = subprocess.run(wrong, capture_output=True, text=True).stdout
        self.digest = re.search(r"digest is ([0-9a-f]{16})", says)[1]

    def present(self, tool):
        if tool not in self.commands:
            print(f"{tool}: not a tool of this mode ({', '.join(self.commands)})", file=sys.stderr)
            return False
        command = self.commands[tool]
        name = "vegeta" if tool == "vegeta" else command.split()[0]
        if shutil.which(name) is None:
            print(f"{tool}: {name} is not installed, so it is left out", file=sys.stderr)
            return False
        return True

    def start(self):
        (self.dir / "www").mkdir()
        (self.dir / "www" / "m").write_bytes(os.urandom(1 << 20))
        (self.dir / "k6.js").write_text(K6_SCRIPT)
        (self.dir / "nginx.conf").write_text(NGINX.format(dir=self.dir, port=PORT, body="0123456789" * 10))
        subprocess.run(["cc", "-O2", "-pthread", HERE / "bounce.c", "-o", self.dir / "bounce"], check=True)
        self.spawn("nginx", "-c", self.dir / "nginx.conf")
        for _ in range(100):
            try:
                self.requests()
                break
            except OSError:
                time.sleep(0.05)
        else:
            raise SystemExit(f"nginx did not come up on port {PORT}:\n{(self.dir / 'error.log').read_text()}")

    def spawn(self, *command):
        child = subprocess.Popen(["taskset", "-c", CPU_SERVER, *map(str, command)], stdout=subprocess.PIPE, text=True)
        self.children.append(child)
        return child

    def end(self):
        for child in self.children:
            child.terminate()
            child.wait()
        shutil.rmtree(self.dir)

    def status(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/status") as answer:
            return list(map(int, re.findall(r"\d+", answer.read().decode())))

    def requests(self):
        return self.status()[3]

    def bounce(self):
        done = subprocess.run([self.dir / "bounce", CPU_CLIENT, CPU_SERVER], capture_output=True, text=True, check=True)
        return int(done.stdout)

    def good_moment(self):
        until = time.monotonic() + GATE_S
        while (probe := self.bounce()) > GATE_NS and time.monotonic() < until:
            time.sleep(0.25)
        return probe

    def run(self, tool, url, c, d, rate=0, tag="", counted=True):
        """One run: CPU seconds, greatest resident memory, requests by the server's count, and what the tool says."""
        command = self.commands[tool].format(
            url=url, c=c, d=d, rate=rate, per_connection=max(1, rate // c), dir=self.dir, digest=self.digest
        )
        before_probe = self.good_moment()
        before = self.requests() if counted else 0
        raw = self.out / f"{self.mode}.{tool}.c{c}.{tag}.txt"
        with open(raw, "w+") as out, open(f"{raw}.err", "w") as err:
            began = time.monotonic()
            # A child of Python would start with Python's own resident memory as its greatest; one of time(1) does not.
            timed = f"exec {shutil.which('time')} -f '%U %S %M' -o {self.dir}/time taskset -c {CPU_CLIENT} {command}"
            code = subprocess.run(timed, shell=True, stdout=out, stderr=err).returncode
            wall = time.monotonic() - began
            out.seek(0)
            said = out.read()
        user, system, rss_kib = (self.dir / "time").read_text().splitlines()[-1].split()
        n = self.requests() - before - 1 if counted else 0
        try:
            reported = figures(tool, said)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            print(f"{tool}: its output could not be read ({error!r}); see {raw}", file=sys.stderr)
            reported = {}
        row = {"tool": tool, "n": n, "wall": wall, "user": float(user), "sys": float(system)}
        row |= {"rss": int(rss_kib) / 1024, "code": code, "fast": max(before_probe, self.bounce()) <= GATE_NS * 1.6} | reported
        with open(self.out / "rows.jsonl", "a") as rows:
            rows.write(json.dumps(row | {"mode": self.mode, "c": c, "rate": rate, "tag": tag}) + "\n")
        return row

    def interleaved(self, url, c, d, rate=0):
        runs = {tool: [] for tool in self.tools}
        repeats = int(ENV.get("REP", 3))
        for i in range(repeats):
            for tool in self.tools:
                runs[tool].append(self.run(tool, url, c, d, rate, f"r{rate}.{i}"))
        chosen = {}
        for tool, rows in runs.items():
            rows = [row for row in rows if row["n"] > 0]
            fast = [row for row in rows if row["fast"]]
            chosen[tool] = (fast or rows, f"{len(fast)}/{repeats}")
        return chosen


def numbers(name, default):
    return [int(word) for word in ENV.get(name, default).split()]


def median(rows, figure):
    values = [value for row in rows if (value := figure(row)) is not None]
    return statistics.median(values) if values else None


def shown(value, places=2):
    return "-" if value is None else f"{value:.{places}f}"


def table(title, header, rows):
    print(f"\n## {title}")
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        print("| " + " | ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths))) + " |")
    sys.stdout.flush()


def cpu_s_per_million(row):
    return (row["user"] + row["sys"]) / row["n"] * 1e6


def percentiles(rows):
    return [shown(median(rows, lambda row: row.get(name)), 3) for name in ("p50", "p99", "p99.9")]


def closed(bench):
    body, default, path = (1 << 20, "16", "/m") if bench.mode == "file" else (100, "1 16 64 256 1000", "/s")
    d = int(ENV.get("D", 4))
    if "prony-digest" in bench.tools:
        bench.learn_digest(f"http://127.0.0.1:{PORT}{path}")
    for c in numbers("C", default):
        first, lines = None, []
        for tool, (rows, fast) in bench.interleaved(f"http://127.0.0.1:{PORT}{path}", c, d).items():
            if not rows:
                lines.append([tool] + ["-"] * 11)
                continue
            cpu = median(rows, cpu_s_per_million)
            first = first or cpu
            parts = [median(rows, lambda row: row[part] / row["n"] * 1e6) for part in ("user", "sys")]
            rate = median(rows, lambda row: row["n"] / row["wall"])
            busy = median(rows, lambda row: (row["user"] + row["sys"]) / row["wall"] * 100)
            line = [tool, shown(rate, 0), shown(cpu), *map(shown, parts), shown(cpu / first) + "x", shown(busy, 0)]
            line += [shown(median(rows, lambda row: row["rss"]), 1), *percentiles(rows), fast]
            lines.append(line + ([shown(cpu / 1e6 / body * 1e9, 3)] if bench.mode == "file" else []))
        header = ["tool", "req/s", "CPU-s/1M", "user", "sys", "vs first", "CPU%", "RSS MB", "p50 ms", "p99 ms", "p99.9 ms", "fast"]
        header += ["CPU-s/GB"] if bench.mode == "file" else []
        table(f"{bench.mode}: {body} bytes, c={c}, {d} s", header, [line + ["-"] * (len(header) - len(line)) for line in lines])


def pace(bench):
    d, (c,) = int(ENV.get("D", 8)), numbers("C", "64")
    for rate in numbers("RATES", "2000 10000"):
        lines = []
        for tool, (rows, fast) in bench.interleaved(f"http://127.0.0.1:{PORT}/s", c, d, rate).items():
            achieved = median(rows, lambda row: row["n"] / d)
            cpu = median(rows, cpu_s_per_million)
            lag = shown(median(rows, lambda row: row.get("lag")), 3)
            rss = shown(median(rows, lambda row: row["rss"]), 1)
            lines.append([tool, shown(achieved, 1), shown(cpu), rss, *percentiles(rows), lag, fast])
        header = ["tool", "n/d", "CPU-s/1M", "RSS MB", "p50 ms", "p99 ms", "p99.9 ms", "lag p99 ms", "fast"]
        table(f"pace: {rate}/s, c={c}, {d} s", header, lines)


def co(bench):
    rate, d, (c,) = int(ENV.get("RATE", 1000)), int(ENV.get("D", 30)), numbers("C", "50")
    lines = []
    for tool in bench.tools:
        # A server of its own for each tool: its freezes begin five seconds after the first request.
        server = bench.spawn(sys.executable, ROOT / "e2e" / "independent" / "freezing.py")
        url, admin = re.fullmatch(r"ready (\S+) admin (\S+)\n", server.stdout.readline()).groups()
        row = bench.run(tool, url, c, d, rate, "co", counted=False)
        with urllib.request.urlopen(f"{admin}/truth") as answer:
            truth = json.load(answer)
        waits = sorted((done - arrived) / 1e6 for arrived, done in truth["requests"])
        seen = [shown(waits[math.ceil(p * len(waits)) - 1]) for p in (0.5, 0.99, 0.999)] if waits else ["-"] * 3
        lines.append([tool, str(len(waits)), *[shown(row.get(name)) for name in ("p50", "p99", "p99.9")], *seen])
        server.terminate()
    header = ["tool", "requests", "p50 ms", "p99 ms", "p99.9 ms", "server p50", "server p99", "server p99.9"]
    table(f"co: 1 ms, frozen for 1 s in 10 s; {rate}/s, {d} s. An honest p99 is about 900 ms, p99.9 about 990", header, lines)


def idle(bench):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    lines, base = [], None
    for c in numbers("C", "100 1000 5000 10000"):
        command = [PRONY, "load", f"http://127.0.0.1:{PORT}/s", "-c", str(c), "--think", "600000", "-d", "600s"]
        child = subprocess.Popen(["taskset", "-c", CPU_CLIENT, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        # Reading, writing, waiting: those that wait have been answered. Ours that asks is one of the first two.
        while (waiting := bench.status()[6]) < c and time.monotonic() < until:
            time.sleep(0.2)
        time.sleep(1)
        kib = int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{child.pid}/status").read_text())[1])
        child.send_signal(signal.SIGINT)
        child.wait()
        base = base or (c, kib)
        each = (kib - base[1]) / (c - base[0]) if c > base[0] else None
        lines.append([str(c), str(waiting), shown(kib / 1024, 1), shown(each)])
    table("idle: prony's resident memory", ["connections", "idle at nginx", "RSS MB", "KiB each above the first"], lines)


def rss(bench):
    lines = []
    for n in numbers("REQUESTS", "1000000 10000000"):
        bench.commands = {"prony": PRONY + " load {url} -c {c} -n " + str(n)}
        row = bench.run("prony", f"http://127.0.0.1:{PORT}/s", 64, 0, 0, f"n{n}")
        lines.append([str(n), str(row["n"]), shown(row["rss"], 1), shown(row["wall"], 1)])
    table("rss: prony's greatest resident memory, c=64", ["requests", "by nginx's count", "RSS MB", "seconds"], lines)


def main():
    mode, *wanted = sys.argv[1:] or ["closed"]
    if mode not in MODES:
        print(__doc__, file=sys.stderr)
        return 64
    os.environ["PATH"] = f"{PEERS}/bin:{PEERS}/venv/bin:{ENV['PATH']}:/usr/sbin"
    missing = [name for name in ("nginx", "taskset", "time", "cc", PRONY) if not shutil.which(name)]
    if missing:
        print(f"missing: {', '.join(missing)}; bench/install-peers.sh, cargo build --release -p prony", file=sys.stderr)
        return 69
    bench = Bench(mode, wanted)
    try:
        bench.start()
        {"closed": closed, "file": closed, "pace": pace, "co": co, "idle": idle, "rss": rss}[mode](bench)
    finally:
        bench.end()
    print(f"\nraw output: {bench.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
