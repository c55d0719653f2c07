"""The generator itself overloaded: it must say INVALID and why, every time, and never when it had its core to itself.

PRONY_OVERLOAD_RUNS sets how many runs of each kind are made."""

import os
import subprocess
import sys

import pytest

from conftest import INVALID

pytestmark = pytest.mark.alone

RUNS = int(os.environ.get("PRONY_OVERLOAD_RUNS", 5))
OWN_CORE, OTHER_CORE = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
# Reasons that name the generator, not the target.
OWN_REASONS = {"late-sends", "worker-busy", "timer", "rate"}


@pytest.fixture
def target(backend):
    """Answers at once, on the other core."""
    one = backend("truth", "service=det", "mean_ms=0", "servers=64")
    subprocess.run(["taskset", "-a", "-p", "-c", str(OTHER_CORE), str(one.child.pid)], check=True, stdout=subprocess.DEVNULL)
    return one


@pytest.fixture
def hogs():
    """Two busy loops on the generator's core."""
    spin = [sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(["taskset", "-c", str(OWN_CORE), *spin]) for _ in range(2)]
    yield running
    for hog in running:
        hog.kill()
        hog.wait()


@pytest.fixture
def pinned(start, target):
    """Runs an open loop on the generator's core, two seconds long, and returns its end with its JSON."""

    def pinned(rate, *flags):
        mask = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {OWN_CORE})  # inherited by the child
        try:
            running = start("load", f"{target.url}/work", "--rate", rate, "--arrivals", "constant", "-d", "2s", "--json", *flags)
        finally:
            os.sched_setaffinity(0, mask)
        done = running.wait(60).sane()
        return done, done.json()

    return pinned


def test_an_overloaded_generator_says_so(pinned, hogs):
    """At real-time priority the hogs would not be felt, and the target on its one core would be the first to be too slow."""
    for run in range(RUNS):
        done, document = pinned(60_000, "--normal-priority")
        assert (done.code, document["verdict"]) == (INVALID, "invalid"), f"run {run}: {done}"
        reasons = {issue["name"] for issue in document["validity"]["invalid"]}
        assert reasons & OWN_REASONS, f"run {run}: {reasons}\n{done}"
        assert all(issue["says"] for issue in document["validity"]["invalid"])


def test_an_idle_generator_is_believed(pinned, awake):
    """Others on this machine, or its host, take the core away now and then. A generator that disbelieves itself for no
    reason does so every time, and not only where the kernel counts stolen time."""
    believed, stolen = 0, []
    for _ in range(10 * RUNS):
        done, document = pinned(1000)
        if done.code == INVALID:
            stolen.append(document["validity"]["steal_share"] > 0)
            continue
        assert (done.code, document["verdict"]) == (0, "pass"), done
        assert document["requests"]["ok"] == 2000
        believed += 1
        if believed == RUNS:
            break
    print(f"{believed} idle runs believed, {len(stolen)} not, {sum(stolen)} of them with time stolen from this machine")
    assert believed == RUNS or sum(stolen) > len(stolen) / 2, (believed, stolen)
