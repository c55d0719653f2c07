"""suites/runpod.toml against the platform as observed, and the workers experiment against its clean twin: what is said of queue,
deadline, idle workers and readiness is held against what the admin port knows."""

import json
import statistics
import tomllib
import urllib.request
from collections import Counter

import jsonschema
import pytest
from conftest import INVALID, ROOT, Report, Running

pytestmark = pytest.mark.light

SUITE = ROOT / "suites" / "runpod.toml"
# The scale of time that `demo:runpod` has.
SCALE = 0.04
WORK_MS = 9600 * SCALE
DEADLINE_MS = 120_000 * SCALE
# Of a second of a worker, on demand and kept warm.
ON_DEMAND, WARM = 0.0004, 0.0003
PRICES = [
    word
    for name, price in (("price_per_worker_s", ON_DEMAND), ("price_warm_per_worker_s", WARM))
    for word in ("--set", f"experiment.cold-start.{name}={price}")
]


def figure(finding, label):
    return next(e["figure"]["value"] for e in finding["evidence"] if e.get("figure", {}).get("label") == label)


def named(found, name):
    return [f for f in found.findings() if f["id"] == name]


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runpod")
    spec = tomllib.loads(SUITE.read_text())
    wanted = {"queue-position", "queue-deadline", "idle-worker", "ready-too-early"}
    for attempt in range(3):  # again where this machine was too busy for a measurement to be trusted
        out = folder / f"out-{attempt}"
        done = Running(["run", SUITE, "-o", out, *PRICES], {}, folder).wait(300).sane()
        found = Report(out)
        trusted = {f["id"] for f in found.findings("fail", "warn", "pass")}
        if done.code != INVALID and wanted <= trusted:
            break
    return done, found, spec


def test_the_documents_rounds_are_sent_by_name(suite, schema):
    done, found, spec = suite
    done.ended(1)
    jsonschema.validate(found.data, schema)
    phases = {phase["name"]: phase for phase in found.phases()}
    assert {phase["name"] for phase in spec["phase"]} <= set(phases)
    # Seed test 1: 30 requests under a cap of 15, also 10, 30 and 3; and a second round.
    for name, offered in {
        "3 at once": 3,
        "10 requests, 10 at a time": 10,
        "30 requests, 30 at a time": 30,
        "round 1: 30 requests, 15 at a time": 30,
        "round 2: 30 requests, 15 at a time": 30,
        "30 at once": 30,
        "30 at once, with retries": 30,
    }.items():
        assert phases[name]["offered"] == offered, name
    # Two workers work and a third stands idle: 13 requests of 9.6 s each begin within two minutes, so 26 of 30 are answered.
    assert 24 <= phases["30 at once"]["ok"] <= 28, phases["30 at once"]
    assert phases["jobs"]["failed"] == 0 and phases["jobs"]["ok"] == 6


def test_what_the_document_took_for_slow_workers_is_the_queue(suite):
    _, found, _ = suite
    (position,) = named(found, "queue-position")
    work = figure(position, "time of one request at work")
    assert 0.9 * WORK_MS <= work <= 1.15 * WORK_MS, position
    assert figure(position, "longest wait for a worker") > 5 * work
    (deadline,) = named(found, "queue-deadline")
    assert deadline["verdict"] == "fail"
    assert 0.95 * DEADLINE_MS <= figure(deadline, "wait after which they were given up") <= 1.15 * DEADLINE_MS
    served, predicted = (
        figure(deadline, label) for label in ("requests answered", "requests that these workers can begin in that time")
    )
    assert served + figure(deadline, "requests given up") == 60
    assert abs(served - predicted) <= 3, deadline
    (idle,) = named(found, "idle-worker")
    assert idle["verdict"] == "warn" and figure(idle, "workers without work") == 1, idle
    (ready,) = named(found, "ready-too-early")
    assert ready["verdict"] == "warn" and "/ping" in ready["endpoint"], ready
    assert 1.3 <= figure(ready, "first request over the next") <= 1.8, "5 s more than 9.6 s"


def test_the_second_round_is_not_told_apart_from_the_first(suite):
    (rounds,) = named(suite[1], "rounds")
    assert rounds["verdict"] == "pass" and figure(rounds, "probability by chance alone (Fisher)") > 0.05, rounds


def test_what_workers_cost_follows_from_the_prices(suite):
    (cost,) = named(suite[1], "worker-cost")
    assert figure(cost, "cost of one warm worker for an hour") == pytest.approx(3600 * WARM)
    thousand = figure(cost, "cost of 1,000 requests at work") / (1000 * ON_DEMAND)
    assert 0.9 * WORK_MS / 1000 <= thousand <= 1.2 * WORK_MS / 1000, cost
    # A start of 18 s and the silence after it, against an hour of a warm worker.
    starts = figure(cost, "starts an hour that cost as much as one warm worker")
    start_s = 3600 * WARM / (starts * ON_DEMAND) - 0.5
    assert 0.8 * 18 * SCALE <= start_s <= 1.3 * 18 * SCALE, cost
    assert cost["recommendation"]["because"]


def test_a_missing_picture_and_a_misspelt_field_are_told(suite):
    _, found, _ = suite
    assert [f for f in named(found, "server-error-on-input") if "unknown `" in f["title"] and "500" in f["title"]]
    phase = next(p for p in found.phases() if p["name"] == "edge cases")
    assert phase["failed"] == 2, "the misspelt field is taken and the missing picture is a 500"


def test_each_claim_is_answered(suite):
    _, found, spec = suite
    results = {entry["result"]["claim"]["id"]: entry["result"] for entry in found.data["claims"]}
    assert set(results) == {claim["id"] for claim in spec["claim"]}
    upheld = {name: result["upheld"] for name, result in results.items()}
    # The cause was the number of workers; the warm time was a place in the queue; one worker stood idle.
    assert [upheld[name] for name in ("F1", "F4", "F5")] == ["no", "no", "no"], upheld
    assert upheld["F3"] == "yes" and upheld["F8"] == "no", upheld
    assert Counter(upheld.values())["not-decided"] >= 4
    for result in results.values():
        assert result["measured"] or result["upheld"] == "not-decided", result


def test_the_clean_twin_is_accused_of_nothing(backend, measure):
    served = backend("runpod-fixed", time_scale=SCALE)

    def judge(done, found):
        faults = [(f["id"], f["title"]) for f in found.faults()]
        assert not faults, faults
        told = named(found, "queue-told") + named(found, "no-queue")
        assert told and not named(found, "queue-position"), found.findings()
        assert named(found, "idle-worker")[0]["verdict"] == "pass"
        assert named(found, "ready-too-early")[0]["verdict"] == "pass"
        with urllib.request.urlopen(f"{served.admin}/truth", timeout=10) as answer:
            ledger = json.load(answer)["requests"]
        assert not ledger["dropped"], "nobody waited in vain"
        served_ms = [r["service_ms"] for r in ledger["requests"] if r["kind"] == "request" and r["status"] == 200]
        work = figure(told[0], "time of one request at work")
        assert 0.9 <= work / statistics.median(served_ms) <= 1.15, (work, statistics.median(served_ms))
        workers = {r["worker"] for r in ledger["requests"] if r["kind"] == "request"}
        assert figure(told[0], "workers that answered") <= len(workers)

    measure("check", served.url, "--quick", "--only", "workers", judge=judge, attempts=3, timeout=150)
