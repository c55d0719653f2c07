"""Objectives of streams: how many requests hold them, the highest rate at which enough do, and the curve of throughput against
interactivity. What is reported is held against numbers computed here from the stored records."""

import json
import urllib.request
import xml.etree.ElementTree as Tree

import pytest

from conftest import phases
from test_definitions import gaps, stored

pytestmark = pytest.mark.light

# 8 sequences at once, a step of 10 ms that gives some two and a half tokens: an answer of 16 takes some 70 ms alone.
ENGINE = [
    "api_keys=none", "limit_agent=0", "limit_global=0", "prefill_us=20", "decode_base_us=10000", "decode_seq_us=0", "max_batch=8",
    "queue_max=1000", "block_kib=64", "dev_api=true", "metrics_dialect=vllm", "spec_tokens=3",
]
SUITE = """
name = "objectives"
[target]
url = "{url}"
metrics_url = "{url}/metrics"
[run]
budget = "quick"
[[scenario]]
name = "chat"
weight = 3
[scenario.openai]
model = "gemma-3-12b-it"
prompts = 16
prompt = {{ tokens = 32 }}
output = {{ tokens = 16 }}
[[scenario]]
name = "batch"
[scenario.openai]
model = "gemma-3-12b-it"
prompts = 16
prompt = {{ tokens = 32 }}
output = {{ tokens = 32 }}
[experiment.capacity]
scenarios = ["chat", "batch"]
slo = {{ ttft_p90_ms = 300 }}
class.batch = {{ e2e_s = 2 }}
duration_s = 20
rate_max = {rate_max}
[experiment.interactivity]
scenarios = ["chat"]
connections = [1, 4, 8, 16]
reset = "vllm"
duration_s = 4
[experiment.server-metrics]
"""
TOO_MUCH = """
name = "too-much"
[target]
url = "{url}"
[[scenario]]
name = "chat"
[scenario.openai]
model = "gemma-3-12b-it"
prompts = 16
prompt = {{ tokens = 32 }}
output = {{ tokens = 32 }}
[[phase]]
name = "too much"
scenarios = ["chat"]
shape.open = {{ rate = 150, duration_s = 12, in_flight_max = 5000 }}
limits = {{ stop_saturated = true }}
"""


def own_p99(stream):
    own = sorted(gaps([at for at, _, _ in stream.tokens]))
    return own[-1] if len(own) < 100 else own[max(0, -(-99 * len(own) // 100) - 1)]


@pytest.fixture
def paced(backend):
    return backend("truth", "stream_ttft_ms=40", "stream_itl_ms=5", "stream_itl=bimodal", "stream_slow_share=0.03")


def test_goodput_is_the_share_that_holds_every_limit(paced, prony, tmp_path):
    limits = {"ttft": 60, "itl": 20, "e2e": 400}
    flag = ",".join(f"{name}={limit}ms" for name, limit in limits.items())
    done = prony(
        "load", paced.beside["streams"], "--stream", "openai-chat", "--max-tokens", 24, "--rate", 60, "-d", "2s", "--slo", flag,
        "--json", "-o", tmp_path / "run",
    ).ended(0)
    goodput = done.json()["goodput"]
    streams = stored(tmp_path / "run")
    held = [
        [
            (s.first_token - s.intended) / 1e6 <= limits["ttft"],
            own_p99(s) <= limits["itl"],
            (s.last_token - s.intended) / 1e6 <= limits["e2e"],
        ]
        for s in streams
    ]
    good = sum(map(all, held))
    assert (goodput["good"], goodput["of"]) == (good, len(streams))
    assert [limit["held"] for limit in goodput["limits"]] == [sum(column) for column in zip(*held)]
    # A slow gap of 40 ms and more in about half of the answers.
    assert 0 < good < len(streams) and goodput["share_lo"] < goodput["share"] < goodput["share_hi"]
    assert "goodput" in prony("load", paced.beside["streams"], "--stream", "openai-chat", "-n", 4, "-c", 2, "--slo", "ttft=1s").ended(0).out


def test_limits_have_a_form(paced, prony):
    for bad in ["ttft", "ttft=3", "ttfb=3ms", "ttft=1s,ttft=2s"]:
        assert "--slo" in prony("load", paced.url, "--slo", bad).ended(64).err
    done = prony("load", paced.url, "--search", "--slo", "ttft=1s").ended(64)
    assert "--stream" in done.err


@pytest.fixture
def engine(backend):
    return backend("semantic-fixed", *ENGINE)


def counted(engine, name):
    """A counter of the engine's own."""
    lines = urllib.request.urlopen(engine.url + "/metrics", timeout=10).read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def test_a_load_that_only_makes_the_queue_longer_is_ended(engine, prony, tmp_path):
    suite = tmp_path / "too-much.toml"
    suite.write_text(TOO_MUCH.format(url=engine.url))
    prony("run", suite, "-o", tmp_path / "run").ended(0, 3)
    [phase] = phases(json.loads((tmp_path / "run" / "report.json").read_text()))
    [warning] = [issue for issue in phase["validity"]["warnings"] if issue["name"] == "saturated"]
    # Eight answers of 32 tokens at a time: some 65 of the 150 a second.
    assert "stay behind" in warning["says"] and phase["partial"] and phase["offered"] < 0.8 * 150 * 12


def test_a_suite_searches_goodput_and_sweeps(engine, measure, prony, tmp_path):
    suite = tmp_path / "objectives.toml"
    # 8 sequences that take 70 to 140 ms each: 120 a second are more than it can do.
    suite.write_text(SUITE.format(url=engine.url, rate_max=200))

    def judge(done, found):
        [capacity] = [f for f in found.data["findings"] if f["finding"]["id"] == "capacity"]
        finding = capacity["finding"]
        assert finding["endpoint"] == "chat + batch" and finding["verdict"] == "pass", finding["title"]
        figures = {e["figure"]["label"]: e["figure"] for e in finding["evidence"] if "figure" in e}
        assert 15 < figures["sustained rate"]["value"] < 130, finding["title"]
        tables = [e["table"] for e in finding["evidence"] if "table" in e]
        [held] = [t for t in tables if t["label"].startswith("Requests that held each limit")]
        assert [row[0] for row in held["rows"]] == ["chat", "chat", "batch", "batch"]

    done, found = measure("run", suite, timeout=90, judge=judge, attempts=3)
    [finding] = [f["finding"] for f in found.data["findings"] if f["finding"]["id"] == "capacity"]
    figures = {e["figure"]["label"]: e["figure"] for e in finding["evidence"] if "figure" in e}
    confirmed_in = figures["goodput"]["source"]["phase"]
    # Again from the raw records of the confirmation: the first fifth of its time does not count.
    events = [json.loads(line) for line in (found.folder / "events.ndjson").read_text().splitlines()]
    [names] = [
        [s["name"] for s in event["phase-started"]["phase"]["scenarios"]]
        for event in events
        if "phase-started" in event and event["phase-started"]["index"] == confirmed_in
    ]
    mine = [s for s in stored(found.folder) if s.phase == confirmed_in]
    begin, end = min(s.intended for s in mine), max(s.intended for s in mine)
    settled = [s for s in mine if s.intended >= begin + 0.2 * (end - begin)]
    limits = {"chat": lambda s: (s.first_token - s.intended) / 1e6 <= 300, "batch": lambda s: (s.last_token - s.intended) / 1e9 <= 2}
    good = sum(limits[names[s.scenario]](s) for s in settled if s.finish)
    # A confirmation that was made longer has a second phase.
    if figures["goodput"]["n"] == len(settled):
        assert abs(figures["goodput"]["value"] - 100 * good / len(settled)) < 1e-6
    else:
        assert figures["goodput"]["n"] > len(settled)

    # The curve: its Pareto points by their definition, in the report and in the chart.
    [curve] = [c for c in found.data["curves"] if c["label"] == "interactivity"]
    points = [(p["tokens_per_s"], p["user_tokens_per_s"]) for p in curve["points"]]
    beaten = [any(o[0] >= p[0] and o[1] >= p[1] and o != p for o in points) for p in points]
    assert [p["is_pareto"] for p in curve["points"]] == [not b for b in beaten]
    assert curve["points"][0]["connections"] == 1 and len(points) >= 3
    assert points[2][0] > 3 * points[0][0], "eight at once decode together"
    chart = Tree.fromstring((found.folder / "curves.svg").read_text())
    drawn = sum(len(c["points"]) for c in found.data["curves"])
    assert len(chart.findall("{http://www.w3.org/2000/svg}circle")) == drawn
    assert prony("report", found.folder, "--format", "svg").out == (found.folder / "curves.svg").read_text()
    # The cache was emptied before each step, and only then.
    resets = [p for p in phases(found.data) if p["name"].startswith("cache reset")]
    assert len(resets) == len(points) and all(p["ok"] == 1 for p in resets)
    # Tokens that a step gives, by the engine's own counters from its start to now.
    [spec] = [f["finding"] for f in found.data["findings"] if f["finding"]["id"] == "speculative-decoding"]
    length = next(e["figure"]["value"] for e in spec["evidence"] if e.get("figure", {}).get("label") == "acceptance length")
    truth = 1 + counted(engine, "vllm:spec_decode_num_accepted_tokens_total") / counted(engine, "vllm:spec_decode_num_drafts_total")
    assert abs(length / truth - 1) < 0.05 and truth > 1.5
