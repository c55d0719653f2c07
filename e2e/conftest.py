"""Starts the binary and the servers that it is pointed at, on free loopback ports, and ends only what it started."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent
# Exit code of a run whose measurements cannot be trusted.
INVALID = 4


def binary() -> Path:
    """The binary under test: PRONY_BIN, or the release build."""
    if "PRONY_BIN" in os.environ:
        return Path(os.environ["PRONY_BIN"])
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "prony"


@dataclass
class Done:
    """What one command left behind."""

    args: list
    code: int
    out: str
    err: str
    rss_max_mib: float

    @property
    def text(self) -> str:
        return self.out + self.err

    def json(self):
        return json.loads(self.out)

    def sane(self):
        """Whatever it was asked, it must not panic or call itself a bug."""
        assert "panicked at" not in self.text, self
        assert self.code in (0, 1, 2, 3, 4, 64, 69, 130), self
        return self

    def ended(self, *codes):
        """It ended with one of these codes, or found this machine too busy to be believed, which is not what every test
        asks: those that hold a measurement against the truth use `measure`."""
        assert self.code in codes or (self.code == INVALID and "invalid" in self.text.lower()), self
        return self

    def last_line(self) -> str:
        return self.out.strip().splitlines()[-1]

    def __str__(self):
        return f"prony {' '.join(map(str, self.args))}\nexit {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"


class Running:
    """The binary while it runs."""

    def __init__(self, args, env, cwd):
        self.args = list(args)
        self.child = subprocess.Popen(
            [binary(), *map(str, args)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=os.environ | {"NO_COLOR": "", "TERM": "dumb"} | env,
        )
        self.chunks = {"out": [], "err": []}
        self.readers = [
            threading.Thread(target=self._read, args=(stream, name), daemon=True)
            for stream, name in ((self.child.stdout, "out"), (self.child.stderr, "err"))
        ]
        for reader in self.readers:
            reader.start()

    def _read(self, stream, name):
        with stream:
            for block in iter(lambda: stream.read1(65536), b""):
                self.chunks[name].append(block)

    @property
    def pid(self):
        return self.child.pid

    def signal(self, number):
        self.child.send_signal(number)

    def wait(self, timeout) -> Done:
        """The end of the command; one that outlives its time is ended and fails the test."""
        rss = [0.0]

        def reap():
            _, status = os.waitpid(self.child.pid, 0)
            self.child.returncode = os.waitstatus_to_exitcode(status)

        def look():
            """The kernel's own high-water mark, read until it is gone. That of wait4(2) would be of this process, if larger: a
            child begins as a copy of its parent."""
            status = Path(f"/proc/{self.child.pid}/status")
            while self.child.returncode is None:
                try:
                    mark = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
                except OSError:
                    return
                if mark:
                    rss[0] = int(mark[1]) / 1024
                time.sleep(0.05)

        threading.Thread(target=look, daemon=True).start()
        reaper = threading.Thread(target=reap, daemon=True)
        reaper.start()
        reaper.join(timeout)
        late = reaper.is_alive()
        if late:
            os.kill(self.child.pid, signal.SIGKILL)
            reaper.join()
        for reader in self.readers:
            reader.join(5)
        out, err = (b"".join(self.chunks[name]).decode(errors="replace") for name in ("out", "err"))
        done = Done(self.args, self.child.returncode, out, err, rss[0])
        assert not late, f"still running after {timeout} s\n{done}"
        return done


@pytest.fixture
def start(tmp_path):
    """Starts `prony ARGS` in an empty directory of the test's own."""
    running = []

    def start(*args, env=None, cwd=None):
        one = Running(args, env or {}, cwd or tmp_path)
        running.append(one)
        return one

    yield start
    for one in running:
        if one.child.returncode is None:
            one.child.kill()
            one.child.wait()


@pytest.fixture
def prony(start):
    """Runs `prony ARGS` to its end."""

    def prony(*args, timeout=60, env=None, cwd=None) -> Done:
        return start(*args, env=env, cwd=cwd).wait(timeout).sane()

    return prony


@pytest.fixture
def measure(prony, tmp_path):
    """Runs `prony ARGS -o FOLDER`, lets `judge` assert what must be true of the end of it and its report, and returns both.

    A machine that is shared disturbs a run now and then, and a tool that is wrong is wrong every time: a run that does not satisfy
    the judge (most refuse one that calls itself INVALID) is made again, `attempts` times in all. The last one counts."""

    def measure(*args, before=lambda: None, judge=lambda done, found: None, attempts=6, timeout=60):
        for attempt in range(1, attempts + 1):
            folder = tmp_path / f"run-{len(list(tmp_path.glob('run-*')))}"
            before()
            done = prony(*args, "-o", folder, timeout=timeout)
            found = Report(folder)
            try:
                judge(done, found)
                return done, found
            except AssertionError as wrong:
                if attempt == attempts:
                    raise
                print(f"attempt {attempt}: {wrong}")

    return measure


class Server:
    """A server that a test points the binary at."""

    def __init__(self, command, env):
        self.child = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | env,
        )
        line = self.child.stdout.readline()
        ready = re.match(r"ready (https?://\S+)(?: admin (http://\S+))?", line)
        if not ready:
            self.end()
            raise AssertionError(f"{command} did not come up; it said {line!r}")
        self.url, self.admin = ready.groups()
        # What a preset serves beside, by name: `store`, `mcp`, `grpc` ...
        self.beside = dict(re.findall(r" (\w+) (http://\S+)", line))

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def end(self):
        self.child.terminate()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()


@pytest.fixture
def server():
    """Starts servers: `server(command..., env={})`."""
    started = []

    def server(*command, env=None) -> Server:
        one = Server(command, env or {})
        started.append(one)
        return one

    yield server
    for one in started:
        one.end()


@pytest.fixture
def backend(server):
    """The reference backend: `backend("truth", "knob=value", ...)`."""

    def backend(preset, *knobs, slides=None, time_scale=None):
        sets = [word for knob in knobs for word in ("--set", knob)]
        extra = ["--slides", slides] if slides else []
        extra += ["--time-scale", time_scale] if time_scale else []
        return server(binary(), "serve", preset, "--port", 0, "--admin-port", 0, *sets, *extra)

    return backend


@pytest.fixture
def archive(server):
    """The independently written target: `archive("blocking,deaf,crash")`; an empty string is the clean twin."""

    def archive(faults, **env):
        return server(sys.executable, HERE / "independent" / "app.py", env={"FAULTS": faults} | env)

    return archive


@pytest.fixture
def hostile(server):
    """The server that misbehaves: `hostile()`, or `hostile("drip")` to do so on every path."""

    def hostile(everywhere=None):
        extra = ["--all", everywhere] if everywhere else []
        return server(sys.executable, HERE / "independent" / "hostile.py", *extra)

    return hostile


@pytest.fixture
def closed_port():
    """A loopback port that is taken, so that nobody else gets it, and on which nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@dataclass
class Report:
    """A report folder as written by the binary."""

    folder: Path

    @property
    def data(self) -> dict:
        return json.loads((self.folder / "report.json").read_text())

    @property
    def markdown(self) -> str:
        return (self.folder / "report.md").read_text()

    def findings(self, *verdicts) -> list:
        """Findings as flat records; `verdict` is the one that counts for the run."""
        entries = [entry["finding"] | {"verdict": entry["counted"]} for entry in self.data["findings"]]
        return [f for f in entries if not verdicts or f["verdict"] in verdicts]

    def untrusted(self) -> list:
        """Findings whose measurement the binary itself does not trust."""
        return [e["finding"] for e in self.data["findings"] if e["finding"]["verdict"] == "invalid"]

    def faults(self) -> list:
        """Findings that say something is wrong."""
        return self.findings("fail", "warn")

    def phases(self) -> list:
        return phases(self.data)


def phases(data) -> list:
    """Figures of every phase in a report's JSON, those that began and left none included."""
    whole = [phase["summary"] for section in data["sections"] for phase in section["phases"]]
    begun = [u | {"ok": u["done"] - u["failed"], "partial": True, "rows": []} for s in data["sections"] for u in s["unfinished"]]
    return whole + begun


@pytest.fixture(scope="session")
def report():
    return Report


@pytest.fixture(scope="session")
def standard_demo(tmp_path_factory):
    """`prony check demo`, once for all who look at it: the run and its report."""
    folder = tmp_path_factory.mktemp("demo")
    for attempt in range(3):  # again if the machine was too busy to measure at all
        out = folder / f"out-{attempt}"
        done = Running(["check", "demo", "-o", out], {}, folder).wait(180)
        if done.code != INVALID:
            break
    return done, Report(out)


@pytest.fixture(scope="session")
def schema():
    """The committed JSON Schema of reports."""
    return json.loads((ROOT / "docs" / "reference" / "report.schema.json").read_text())


@pytest.fixture(scope="session", autouse=True)
def built():
    assert binary().is_file(), f"{binary()} is missing: cargo build --release -p prony"


class Machine:
    """What this machine adds to any time that a program here takes: how late a thread wakes that asked for a time."""

    EVERY_S = 0.005

    def __init__(self):
        self.lateness_s = []
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        while True:
            due = time.monotonic() + self.EVERY_S
            time.sleep(self.EVERY_S)
            self.lateness_s.append(time.monotonic() - due)

    def adds_ns(self) -> float:
        """The mean lateness since this was asked last."""
        late, self.lateness_s = self.lateness_s, []
        return 1e9 * sum(late) / max(1, len(late))


@pytest.fixture(scope="session")
def machine():
    return Machine()


@pytest.fixture
def awake():
    """Keeps the cores from sleeping: on each a busy loop of the lowest class (SCHED_IDLE, sched(7)), which gives way at
    once. A virtual core that sleeps takes up to some hundred microseconds to wake, and that would be taken for an error
    of the tool. The kernel accounts its time as nice."""
    spin = ["nice", "-n", "19", "chrt", "--idle", "0", sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(["taskset", "-c", str(core), *spin]) for core in sorted(os.sched_getaffinity(0))]
    yield
    for spinner in running:
        spinner.kill()
        spinner.wait()
