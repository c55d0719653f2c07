"""Token streams of servers that others wrote: llama.cpp with a real (random) model, GuideLLM's mock server with known times, and
llmock, which breaks streams and keeps a list of what it did."""

import json
import re
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter

import httpx
import pytest

from conftest import HERE, INVALID, ROOT, Report

pytestmark = pytest.mark.alone

ENGINES = ROOT / ".venv-engines" / "bin"
SLOTS = 4
KEY = "local-key"
# What each fault of llmock's list must be called.
CALLED = {
    None: "ok",
    "scenario:429": "status-429",
    "scenario:500": "status-5xx",
    "scenario:503": "status-503",
    "stream:truncate": "stream-unfinished",
    "stream:disconnect": "truncated",
    "stream:malformed": "stream-malformed",
    "stream:stall": "body-timeout",
}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Stranger:
    """A server of others: a command, the port it was told, and a path that answers once it is up."""

    def __init__(self, path, command, port, log, cwd=None):
        self.url = f"http://127.0.0.1:{port}"
        self.log = open(log, "w+")
        self.child = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT, cwd=cwd, start_new_session=True
        )
        for _ in range(1200):
            if self.child.poll() is not None:
                break
            try:
                if httpx.get(self.url + path, timeout=5, trust_env=False).status_code < 500:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        self.end()
        raise AssertionError(f"{command} did not come up:\n{self.said()}")

    def said(self):
        self.log.flush()
        return open(self.log.name).read()[-4000:]

    def get(self, path):
        return httpx.get(self.url + path, timeout=20, trust_env=False)

    def post(self, path, **body):
        return httpx.post(self.url + path, json=body, timeout=20, trust_env=False)

    def end(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self.log.close()


@pytest.fixture
def stranger(tmp_path):
    """Starts a server of others: `stranger("/path that answers", command, port)`."""
    started = []

    def stranger(path, command, port, cwd=None):
        one = Stranger(path, command, port, tmp_path / f"server-{len(started)}.log", cwd)
        started.append(one)
        return one

    yield stranger
    for one in started:
        one.end()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model file of random weights."""
    file = tmp_path_factory.mktemp("model") / "random.gguf"
    subprocess.run([ENGINES / "python", HERE / "engines" / "random_llama.py", file], check=True)
    return file


@pytest.fixture
def llama(stranger, model):
    """llama.cpp's server with four slots."""

    def llama(*key):
        port = free_port()
        return stranger("/health", [ENGINES / "python", HERE / "engines" / "llama_server.py", model, port, SLOTS, 8192, *key], port)

    return llama


@pytest.fixture
def llmock(stranger):
    port = free_port()
    return stranger("/v1/models", [ENGINES / "llmock", "serve", "-h", "127.0.0.1", "-p", port], port)


def outcomes(document):
    return {row["outcome"]: row["n"] for row in document["outcomes"] if row["n"]}


def streams(document):
    (figures,) = document["streams"]
    return figures


# --- GuideLLM's mock server: its times are known ---


def test_known_times_are_found(stranger, prony):
    """It sleeps at least as long as it was told, in whole turns of its event loop, and so a little longer."""
    port = free_port()
    command = [ENGINES / "python", "-m", "guidellm", "mock-server", "--host", "127.0.0.1", "--port", port]
    mock = stranger("/v1/models", [*command, "--ttft-ms", 100, "--itl-ms", 10, "--output-tokens", 32], port)
    for attempt in range(6):
        done = prony("load", mock.url, "--stream", "openai-chat", "--model", "m", "--max-tokens", 32, "-n", 40, "-c", 2, "--json")
        if done.code != INVALID:
            break
    document = done.json()
    found = streams(document)
    assert document["requests"]["ok"] == 40, done
    # Where answers depend on each other, forty are too few for a median.
    middle = found["ttft"]["p50_ms"] or found["ttft"]["mean_ms"]
    assert 100 <= middle <= 120, found
    assert 10 <= found["itl"]["mean_ms"] <= 13, found


# --- llmock: each fault it made has its outcome ---


def test_outcomes_are_the_faults_that_were_made(llmock, prony):
    behaviors = [
        {"type": "fail", "status": 429, "retry_after": 1, "times": 3},
        {"type": "stream_fault", "kind": "truncate", "after_chunks": 3},
        {"type": "fail", "status": 500},
        {"type": "stream_fault", "kind": "disconnect", "after_chunks": 2},
        {"type": "stream_fault", "kind": "malformed", "after_chunks": 2},
        {"type": "fail", "status": 503},
        {"type": "stream_fault", "kind": "stall", "after_chunks": 2, "stall_seconds": 4},
    ]
    assert llmock.post("/_llmock/scenario", behaviors=behaviors).json()["queued"] == 7
    done = prony(
        "load", llmock.url, "--stream", "openai-chat", "--model", "m", "-n", 16, "-c", 1, "--timeout", "1500ms", "--json", timeout=60
    )
    requests = [r for r in llmock.get("/_llmock/requests").json()["requests"] if r["method"] == "POST"]
    made = Counter(CALLED[r["fault"] and re.sub(r"@.*", "", r["fault"])] for r in requests)
    assert outcomes(done.json()) == made, (done, requests)
    assert len(made) == 8, made
    assert llmock.get("/_llmock/verdict").json()["faults_injected"] == done.json()["requests"]["failed"]


# --- llama.cpp ---


def test_the_servers_count_and_the_events_stand_side_by_side(llama, prony):
    """Chunks are not tokens: a token that is no whole character waits for the next."""
    engine = llama()
    done = prony("load", engine.url, "--stream", "openai-chat", "--max-tokens", 48, "-n", 8, "-c", 1, "--json", timeout=120)
    found = streams(done.json())
    assert outcomes(done.json()) == {"ok": 8}, done
    assert 0 < found["token_events"] <= found["usage_output"] <= 8 * 48, found
    metrics = engine.get("/metrics").text
    assert float(re.search(r"^llamacpp:tokens_predicted_total (\S+)", metrics, re.M)[1]) == found["usage_output"]


def test_a_prompt_too_long_and_a_missing_key_are_what_they_are(llama, prony):
    engine = llama(KEY)
    words = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "long " * 4000}]})
    without = prony("load", engine.url, "--stream", "openai-chat", "-n", 3, "-c", 1, "--json")
    assert outcomes(without.json()) == {"status-4xx": 3} and "401" in without.text, without
    header = ["--header", f"Authorization: Bearer {KEY}"]
    path = f"{engine.url}/v1/chat/completions"
    long = prony("load", path, "--stream", "openai-chat", "-b", words, "-n", 3, "-c", 1, "--json", *header)
    assert outcomes(long.json()) == {"status-4xx": 3} and "400" in long.text, long
    good = prony("load", engine.url, "--stream", "openai-chat", "--max-tokens", 4, "-n", 3, "-c", 1, "--json", *header)
    assert outcomes(good.json()) == {"ok": 3}, good
    assert KEY not in without.text + long.text + good.text


SUITE = """
[target]
url = "{url}"
[run]
budget = "standard"
endpoints = ["POST /v1/chat/completions"]
[experiment.coverage]
[experiment.client-floor]
[experiment.baseline]
[experiment.streams]
connections = [1, 4, 16]
duration_s = 15
"""


def test_the_slots_of_a_real_engine_are_found(llama, measure, tmp_path):
    """As many streams get tokens at the same time as the engine was started with."""
    engine = llama()
    suite = tmp_path / "suite.toml"
    suite.write_text(SUITE.format(url=engine.url))

    def judge(done, found):
        by_id = {finding["id"]: finding for finding in found.findings()}

        def figures(name):
            return {one["figure"]["label"]: one["figure"] for one in by_id[name]["evidence"] if "figure" in one}

        assert figures("stream-slots")["streams that get tokens at the same time"]["value"] == SLOTS, by_id
        assert by_id["stream-ends"]["verdict"] == "pass", by_id["stream-ends"]

    measure("run", suite, judge=judge, attempts=3, timeout=120)
    metrics = engine.get("/metrics").text
    assert re.search(r"^llamacpp:requests_processing 0$", metrics, re.M) and re.search(r"^llamacpp:requests_deferred 0$", metrics, re.M)


CACHE_SUITE = (
    SUITE
    + """
[experiment.cancellation]
clients = 16
[experiment.cache]
lengths = [64]
repeats = 30
duration_s = 40
"""
)


def test_the_prefix_cache_of_a_real_engine_and_its_slots_after_hang_ups(llama, measure, tmp_path):
    """It keeps the last prompt of each slot. A slot whose client hung up is given to the next, who waits for less than half of what
    the streams would have taken that nobody reads."""
    engine = llama()
    suite = tmp_path / "suite.toml"
    suite.write_text(CACHE_SUITE.format(url=engine.url))

    def judge(done, found):
        by_id = {finding["id"]: finding for finding in found.findings()}

        def figure(name, label):
            figures = [one["figure"] for one in by_id[name]["evidence"] if "figure" in one]
            return next(f for f in figures if f["label"].startswith(label))

        effect = figure("cache-effect", "time to first byte, new over repeated")
        assert "cuts the time" in by_id["cache-effect"]["title"], by_id["cache-effect"]
        assert effect["ci"][0] > 2 and effect["n"] >= 8, effect
        freed = by_id["hang-up-frees-slot"]
        assert freed["verdict"] == "pass", freed
        waited = figure("hang-up-frees-slot", "wait of a request after the hang-ups, median")["value"]
        read = figure("hang-up-frees-slot", "longest wait of 16 that read to the end")["value"]
        assert waited < read / 2, (waited, read)

    measure("run", suite, judge=judge, attempts=3, timeout=200)
    metrics = engine.get("/metrics").text
    assert re.search(r"^llamacpp:requests_processing 0$", metrics, re.M), metrics


DRIVERS_SUITE = """
[target]
url = "{url}"
{scenarios}
[[phase]]
name = "all"
scenarios = ["anthropic", "openai"]
shape.closed = {{ connections = 2, requests = 32 }}
[[gate]]
phase = "all"
check = "failed_count == 0"
"""


def test_the_drivers_of_suites_on_a_server_by_others(llama, prony, tmp_path):
    """Chat Completions and Messages, as `[scenario.openai]` and `[scenario.anthropic]` ask them: llama.cpp speaks both."""
    engine = llama()
    one = '[[scenario]]\nname = "{0}"\n[scenario.{0}]\nmodel = "m"\nprompts = 8\n{2}\nprompt = {{ tokens = 40, tokenizer = "{1}" }}\n'
    tokenizer = ROOT / "suites" / "examples" / "data" / "tokenizer.json"
    suite = tmp_path / "suite.toml"
    lengths = {"anthropic": "max_tokens = 8", "openai": "output.tokens = 8"}
    scenarios = "".join(one.format(name, tokenizer, length) for name, length in lengths.items())
    suite.write_text(DRIVERS_SUITE.format(url=engine.url, scenarios=scenarios))
    done = prony("run", suite, "-o", tmp_path / "out", timeout=90).ended(0)
    (phase,) = Report(tmp_path / "out").phases()
    assert {row["scenario"] for row in phase["rows"] if row["outcome"] == "ok"} == {"anthropic", "openai"}, done
    for figures in phase["streams"]:
        assert figures["with_usage"] == figures["ok"] > 0 and figures["failed"] == 0, figures


# --- MLServer: KServe V2 by others ---


def test_a_kserve_server_by_others_is_found_and_judged(stranger, prony, tmp_path):
    folder = tmp_path / "models"
    shutil.copytree(HERE / "engines" / "mlserver", folder)
    http, grpc, metrics = (free_port() for _ in range(3))
    settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics, "parallel_workers": 0}
    (folder / "settings.json").write_text(json.dumps(settings))
    server = stranger("/v2/models/mean/ready", [ENGINES / "mlserver", "start", "."], http, cwd=folder)
    prony("check", server.url, "--quick", "--only", "coverage,diversity", "-o", tmp_path / "out", timeout=60).ended(0, 2)
    report = Report(tmp_path / "out")
    infer = "POST /v2/models/mean/infer"
    assert not [f for f in report.findings("fail") if f["endpoint"] == infer], report.markdown
    rows = [row for phase in report.phases() for row in phase["rows"] if row["scenario"] == infer]
    assert rows and all(row["outcome"] == "ok" for row in rows), rows
    for url in (f"grpc://127.0.0.1:{grpc}", server.url):
        loaded = prony("load", url, "--kserve", "mean", "-c", 2, "-n", 60, "--json").ended(0)
        assert loaded.json()["requests"]["ok"] == 60, loaded
    told = prony("load", f"grpc://127.0.0.1:{grpc}/meen", "-n", 1)
    assert told.code == 69 and "NOT_FOUND" in told.err and "mean" in told.err, told


# --- moto: an object store by others ---


def test_an_object_store_by_others_is_recognised(stranger, prony, tmp_path):
    """Nothing of it is loaded: its requests must be signed. The report says what it is."""
    port = free_port()
    store = stranger("/moto-api/", [ENGINES / "moto_server", "-H", "127.0.0.1", "-p", port], port)
    done = prony("check", store.url, "--quick", "--only", "coverage", "-o", tmp_path / "out", timeout=60)
    assert done.code in (0, 2, 3) and "S3" in Report(tmp_path / "out").markdown, done
