"""What is concluded on the preset whose every property is a knob, held against those knobs: capacity, overload, memory, cache,
integrity and serial service, live. Simulated time holds the same conclusions against far more runs (docs/calibration.md).

All runs of a round are made side by side: their loads are light, and most of their time is waiting. PRONY_LIVE_ROUNDS sets how
many rounds there are; in nineteen of twenty every conclusion must be right."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from conftest import INVALID, Report, Running, Server, binary

pytestmark = pytest.mark.alone

ROUNDS = int(os.environ.get("PRONY_LIVE_ROUNDS", 1))
SERVICE_MS, SERVERS, SLO_MS = 20, 4, 120
PREFILL_US, BASE_MS, CACHE_WORDS = 200, 40, 2048


def objective_kept_up_to(servers: int, service_ms: float, slo_ms: float, share: float) -> float:
    """The rate per second up to which an M/M/c queue answers that share within the limit: its exact sojourn (Allen 1990)."""
    mu, t = 1 / service_ms, slo_ms

    def late(rate):
        a = rate / mu
        blocked = 1.0
        for k in range(1, servers + 1):
            blocked = a * blocked / (k + a * blocked)
        waits = blocked / (1 - a / servers * (1 - blocked))
        k = servers * mu - rate
        return (1 - waits) * math.exp(-mu * t) + waits * (k * math.exp(-mu * t) - mu * math.exp(-k * t)) / (k - mu)

    low, high = 0.0, servers * mu * (1 - 1e-9)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if late(middle) <= 1 - share else (low, middle)
    return 1000 * low


@dataclass
class Case:
    """A server, a question, and what must be answered: the finding of that id, with those words in its title."""

    knobs: tuple
    experiment: str
    finding: str
    says: tuple
    endpoint: str = "POST /v1/infer"
    holds: object = None
    never: tuple = field(default=())


QUEUE = ("service=exp", "mean_ms=40", "servers=4")
SURGE = "[experiment.overload]\nrate = {rate}\nslo_ms = {slo}\nduration_s = 90\nretries = false\n"
MEMORY = "[experiment.leak]\nrate = 200\nduration_s = 100\n"
INSTANT = ("service=det", "mean_ms=0", "servers=16")


def figure(finding, label):
    figures = [e["figure"] for e in finding["evidence"] if "figure" in e]
    found = [f["value"] for f in figures if f["label"].startswith(label)]
    assert found, f"no {label} among {[f['label'] for f in figures]}"
    return found[0]


def capacity_is_right(finding):
    """The bounds of the tier `quick`: 0.80 to 1.05 of the truth (with the 10 % of runs above them that it allows, two of twenty)."""
    truth = objective_kept_up_to(SERVERS, SERVICE_MS, SLO_MS, 0.95)
    found = figure(finding, "sustained rate") / truth
    assert 0.80 <= found <= 1.05, (found, truth)


def leak_is_right(finding):
    assert abs(figure(finding, "growth per request") / (4 * 1024) - 1) <= 0.15


def speed_up_is_right(finding):
    """One long prompt, new and repeated: all of its blocks but the last, part-filled one are in the cache."""
    truth = (BASE_MS + CACHE_WORDS * PREFILL_US / 1000) / BASE_MS
    assert abs(figure(finding, "time to first byte, new over repeated") / truth - 1) <= 0.05


CASES = {
    "capacity of a queue": Case(
        ("service=exp", f"mean_ms={SERVICE_MS}", f"servers={SERVERS}"),
        f'[experiment.capacity]\nslo_quantile = 0.95\nslo_ms = {SLO_MS}\ntier = "quick"\nduration_s = 110\n',
        "capacity",
        ("sustains",),
        holds=capacity_is_right,
    ),
    "a bounded queue": Case(
        ("service=exp", "mean_ms=40", "servers=8", "queue_max=16"),
        SURGE.format(rate=165, slo=240),
        "overload",
        ("graceful",),
    ),
    "an endless queue": Case(QUEUE, SURGE.format(rate=68, slo=160), "overload", ("congestion collapse",)),
    "work that grows with the queue": Case(
        (*QUEUE, "slowdown=0.01"), SURGE.format(rate=50, slo=240), "overload", ("metastable",)
    ),
    "a crash": Case((*QUEUE, "crash_queue=100", "restart_ms=4000"), SURGE.format(rate=68, slo=160), "overload", ("crashes",)),
    "a leak": Case((*INSTANT, "memory=leak", "memory_kib=4"), MEMORY, "memory-growth", (" leaks ",), holds=leak_is_right),
    "a warm-up": Case((*INSTANT, "memory=warmup"), MEMORY, "memory-growth", (), never=(" leaks ",)),
    "a saw-tooth": Case((*INSTANT, "memory=saw", "memory_kib=16"), MEMORY, "memory-growth", (), never=(" leaks ",)),
    "a step": Case((*INSTANT, "memory=step", "memory_kib=4", "memory_at=9000"), MEMORY, "memory-growth", (), never=(" leaks ",)),
    "no growth": Case(INSTANT, MEMORY + "materiality_percent = 1\n", "memory-growth", ("does not leak",)),
    "a prefix cache": Case(
        ("service=det", f"mean_ms={BASE_MS}", "servers=4", f"prefill_us={PREFILL_US}"),
        f"[experiment.cache]\nlengths = [64, 512, {CACHE_WORDS}]\nduration_s = 100\nrepeats = 60\n",
        "cache-effect",
        ("cuts the time",),
        endpoint="POST /v1/generate",
        holds=speed_up_is_right,
    ),
    "swapped answers": Case(
        (*INSTANT, "swap_n=1000"),
        "[experiment.integrity]\nrequests = 5000\nconnections = 16\nduration_s = 40\n",
        "integrity",
        ("belonged to another request",),
    ),
    "truncated answers": Case(
        (*INSTANT, "truncate_n=1000"),
        "[experiment.integrity]\nrequests = 5000\nconnections = 16\nduration_s = 40\n",
        "integrity",
        ("not whole",),
    ),
    "sound answers": Case(
        INSTANT,
        "[experiment.integrity]\nrequests = 5000\nconnections = 16\nduration_s = 40\n",
        "integrity",
        ("none was damaged",),
    ),
    "a serial server": Case(
        ("service=lognormal", "mean_ms=20", "servers=4", "serial=true"),
        "[experiment.ladder]\nduration_s = 20\n",
        "serial-service",
        ("one at a time",),
    ),
    "four servers": Case(
        ("service=lognormal", "mean_ms=20", "servers=4"),
        "[experiment.ladder]\nduration_s = 20\n",
        "serial-service",
        (),
        never=("one at a time",),
    ),
}


def asked(case: Case, folder):
    """The end of the run and its report, on a server of its own."""
    folder.mkdir(parents=True)
    knobs = [word for knob in case.knobs for word in ("--set", knob)]
    # Without the admin port: for it the server would keep the times of all requests, and its memory would grow.
    server = Server([binary(), "serve", "truth", "--port", 0, *knobs], {})
    try:
        suite = folder / "suite.toml"
        suite.write_text(f'[target]\nurl = "{server.url}"\n[run]\nendpoints = ["{case.endpoint}"]\n{case.experiment}')
        done = Running(["run", suite, "-o", folder / "out"], {}, folder).wait(400).sane()
        return done, Report(folder / "out")
    finally:
        server.end()


def verdict_of(case: Case, done, found) -> str:
    """Empty when it is right; `undecided` when this machine was too busy; else what is wrong."""
    findings = [f for f in found.findings() if f["id"] == case.finding]
    titles = [f["title"] for f in findings]
    if not findings:
        return f"wrong: nothing was concluded, only {[f['id'] for f in found.findings()]}"
    if not case.says:
        return f"wrong: {titles}" if any(word in title for word in case.never for title in titles) else ""
    if done.code == INVALID or any(f["verdict"] in ("invalid", "inconclusive") for f in found.findings()):
        return f"undecided: {titles}"
    right = [f for f in findings if all(word in f["title"] for word in case.says)]
    if not right:
        return f"wrong: {titles}"
    try:
        if case.holds:
            case.holds(right[0])
    except AssertionError as wrong:
        return f"wrong: {wrong} in {titles}"
    return ""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """For each case what was wrong in each round. What this machine's own noise left undecided is made again, twice at most. So is,
    where there is one round only, what missed: the method itself allows one search for a capacity in seven to."""
    folder = tmp_path_factory.mktemp("live")

    def side_by_side(names, attempt) -> dict:
        with ThreadPoolExecutor(len(CASES)) as pool:
            begun = {name: pool.submit(asked, CASES[name], folder / f"{attempt}-{number}") for number, name in enumerate(names)}
            return {name: verdict_of(CASES[name], *run.result()) for name, run in begun.items()}

    answers = {name: [] for name in CASES}
    for round_ in range(ROUNDS):
        wrong = side_by_side(CASES, f"{round_}")
        for attempt in range(2):
            again = [name for name, text in wrong.items() if text.startswith("undecided") or (text and ROUNDS == 1)]
            print(*(f"{name}: {wrong[name]}" for name in again), sep="\n")
            if again:
                wrong |= side_by_side(again, f"{round_}-{attempt}")
        for name, text in wrong.items():
            answers[name].append(text)
    return answers


@pytest.mark.timeout(900 * ROUNDS)
@pytest.mark.parametrize("name", CASES)
def test_a_conclusion_agrees_with_the_truth(answers, name):
    wrong = [text for text in answers[name] if text]
    assert len(wrong) <= ROUNDS / 20, wrong
