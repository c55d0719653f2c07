"""The freeze: a server that answers in a millisecond but stands still for a second every ten, asked a thousand times a second.

A tool that counts from when it managed to send shows a p99 of a few milliseconds. What a user waits is about 900."""

import math
import sys
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.alone

RATE, SECONDS = 1000, 30
SHARE, FLOOR_MS = 0.02, 0.05
QUANTILES = {"p50_ms": 0.5, "p99_ms": 0.99, "p99.9_ms": 0.999}


@pytest.fixture
def freezing(server):
    return server(sys.executable, Path(__file__).parent / "independent" / "freezing.py")


def nearest_rank(values, p) -> float:
    ordered = sorted(values)
    return ordered[math.ceil(p * len(ordered)) - 1]


def analytic(truth, until) -> list:
    """Response times in ms that follow from the freezes alone, as they really were: a request due in one waits for its end,
    and is then served like any other. `until` is which end: 1 when the server went on, 2 when it had caught up."""
    service = nearest_rank([done - arrived for arrived, done in truth["requests"]], 0.5)
    first = min(arrived for arrived, _ in truth["requests"])
    due = [first + i * 1_000_000_000 // RATE for i in range(RATE * SECONDS)]
    waits = [max([freeze[until] - at for freeze in truth["freezes"] if freeze[0] <= at < freeze[until]], default=0) for at in due]
    return [(wait + service) / 1e6 for wait in waits]


def within(measured_ms, least_ms, most_ms, machine_ms) -> bool:
    """`machine_ms` is how late any thread wakes here, so also the one that reads the answer."""
    allowed_ms = max(FLOOR_MS, 2 * machine_ms)
    return least_ms * (1 - SHARE) - FLOOR_MS <= measured_ms <= most_ms * (1 + SHARE) + allowed_ms


def test_a_server_that_stands_still(measure, machine, freezing):
    def reset():
        httpx.post(f"{freezing.admin}/reset", trust_env=False)
        machine.adds_ns()

    shape = ["--rate", RATE, "--arrivals", "constant", "-d", f"{SECONDS}s", "--in-flight", 4000]

    def judge(done, _):
        machine_ms = machine.adds_ns() / 1e6
        done.ended(0)
        truth = httpx.get(f"{freezing.admin}/truth", trust_env=False, timeout=60).json()
        reported = done.json()
        assert reported["requests"]["ok"] == len(truth["requests"]) == RATE * SECONDS
        assert len(truth["freezes"]) == 3, truth["freezes"]
        # Stamped by the kernel on arrival and by the server at the end; and what the freezes alone make of the schedule.
        stamped = [(end - arrived) / 1e6 for arrived, end in truth["requests"]]
        known = (stamped, stamped), (analytic(truth, until=1), analytic(truth, until=2))
        for name, p in QUANTILES.items():
            measured = reported["percentiles"][name]
            for least, most in known:
                bounds = nearest_rank(least, p), nearest_rank(most, p)
                print(name, measured, bounds)
                assert within(measured, *bounds, machine_ms), (name, measured, bounds, machine_ms)

    measure("load", freezing.url, *shape, "--json", before=reset, judge=judge, timeout=120)
