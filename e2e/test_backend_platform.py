"""What every preset can be given and tells: common faults, single requests, live knobs, logs, all presets at once. The client is plain:
raw sockets and http.client, nothing of the tool that measures."""

import http.client
import json
import math
import re
import socket
import subprocess
import threading
import time

import httpx
import pytest
from jsonschema import Draft202012Validator

from conftest import ROOT, binary

# Between the clocks of server and client lie the socket and the scheduler.
SHARE, FLOOR_NS = 0.01, 100_000
CONNECT_S = 20


def ask(server, path="/null", method="GET", body=None, headers=None):
    """One request on a connection of its own: status, headers and body; what breaks is raised."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=CONNECT_S)
    try:
        connection.request(method, path, body, {"content-type": "application/json"} | (headers or {}))
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def outcome(server, path="/work"):
    """The answer's body, or how it broke."""
    try:
        return ask(server, path)[2]
    except (ConnectionError, http.client.HTTPException) as broken:
        return type(broken).__name__


def truth(server, part="") -> dict:
    return httpx.get(f"{server.admin}/truth{part}", trust_env=False).raise_for_status().json()


def post(server, part):
    return httpx.post(f"{server.admin}/truth{part}", trust_env=False).raise_for_status().json()


def turn(server, **knobs):
    return httpx.put(f"{server.admin}/truth/knobs", json=knobs, trust_env=False)


class Plain:
    """A client with one connection and nothing between its clock and the socket."""

    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=CONNECT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def way_ns(self) -> int:
        """What the way there and back takes with nothing to wait for, after a pause as long as an answer takes."""
        taken = []
        for _ in range(15):
            time.sleep(0.02)
            taken.append(self.time_ns("/health"))
        return nearest_rank(taken, 0.5)

    def time_ns(self, path) -> int:
        request = f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
        begun = time.perf_counter_ns()
        self.socket.sendall(request)
        answer = self.socket.recv(65536)
        taken = time.perf_counter_ns() - begun
        assert answer.startswith(b"HTTP/1.1 200") and b"\r\n\r\n" in answer, answer
        return taken


def nearest_rank(values, p):
    values = sorted(values)
    return values[max(1, math.ceil(p * len(values))) - 1]


# Times of 30 ms and more: one per cent of them is as much as a busy machine adds to single requests (300 us).
REQUESTS = 100
LATENCIES = {
    "constant": ["fault_delay_ms=30"],
    "lognormal": ["fault_delay_ms=36", "fault_delay_sigma=0.3"],
    "bimodal": ["fault_delay_ms=36", "fault_delay_slow_share=0.2", "fault_delay_slow_factor=2"],
    "empirical": [],
}


@pytest.mark.alone
@pytest.mark.usefixtures("awake")
@pytest.mark.parametrize("law", LATENCIES)
def test_a_client_sees_the_latency_that_the_truth_tells(backend, machine, tmp_path, law):
    times = tmp_path / "times.csv"
    times.write_text("ms,what\n" + "".join(f"{30 + k * 0.25},observed\n" for k in range(40)))
    server = backend("truth", f"fault_delay={law}", "fault_path=/null", f"fault_delay_csv={times}", *LATENCIES[law])
    with Plain(server) as client:
        for _ in range(5):
            client.time_ns("/null")
        for attempt in range(4):  # a machine that is shared disturbs a run now and then
            post(server, "/reset")
            machine.adds_ns()
            seen = []
            for _ in range(REQUESTS):
                seen.append(client.time_ns("/null"))
                time.sleep(0.001)
            adds_ns, way_ns = machine.adds_ns(), client.way_ns()
            told = truth(server)
            true = told["endpoints"]["GET /null"]["sojourn_ns"]
            off = {p: nearest_rank(seen, q) - way_ns - true[p] for p, q in (("p50", 0.5), ("p99", 0.99))}
            allowed = {p: max(SHARE * true[p], FLOOR_NS, 2 * adds_ns) for p in off}
            print(law, attempt, off, allowed, way_ns, true)
            if all(abs(off[p]) <= allowed[p] for p in off):
                break
    assert all(abs(off[p]) <= allowed[p] for p in off), (law, off, allowed, true)
    assert true["n"] == REQUESTS and told["common_faults"]["applied"] == {"delay": REQUESTS}
    # What was drawn is what the law states: the account's own times are those, plus how late the clock woke.
    model, waited = told["common_faults"]["delay_model_ns"], told["common_faults"]["delay_ns"]
    assert waited["min"] >= 0.9e6 and waited["p50"] >= 0.7 * model["p50"]
    if law in ("constant", "bimodal"):
        assert waited["p50"] >= model["p50"] and waited["p50"] <= model["p50"] + max(2e6, 10 * adds_ns)


def test_the_same_seed_hits_the_same_requests(backend):
    def hits():
        server = backend("truth", "fault_corrupt_n=4", "mean_ms=0")
        clean = b'{"work":"' + b"x" * 64 + b'"}'
        return [ask(server, "/work")[2] != clean for _ in range(60)]

    first = hits()
    assert first == hits() and 5 <= sum(first) <= 28


def test_serial_holds_health_back_as_well(backend):
    server = backend("truth", "fault_serial=true", "mean_ms=0", "servers=8", "fault_delay=constant", "fault_delay_ms=60")
    threads = [threading.Thread(target=ask, args=(server, path)) for path in ["/health"] * 2 + ["/work"] * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ends = sorted(r["time_unix_ms"] + r["sojourn_ns"] / 1e6 for r in truth(server, "/requests")["requests"])
    assert len(ends) == 5 and all(b - a >= 59 for a, b in zip(ends, ends[1:])), ends


@pytest.mark.parametrize("full", ["503", "429", "wait"])
def test_a_full_queue(backend, full):
    sets = ["fault_slots=1", "fault_queue_max=1", f"fault_queue_full={full}", "fault_delay=constant", "fault_delay_ms=300"]
    server = backend("truth", *sets, f"fault_retry_after_s={7 if full == '503' else 0}")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask(server, "/health"))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [headers for status, headers, _ in answers if status != 200]
    if full == "wait":
        assert not refused
    else:
        assert len(refused) == 3 and {status for status, _, _ in answers} == {200, int(full)}
        assert {headers.get("retry-after") for headers in refused} == {"7" if full == "503" else None}
        assert truth(server)["common_faults"]["applied"]["slots"] == 3


def test_leaks_of_memory_and_descriptors(backend):
    server = backend("truth", "fault_leak_kib=256", "fault_leak_fds=2")

    def held():
        page = httpx.get(f"{server.admin}/metrics", trust_env=False).text
        return float(re.search(r"^process_resident_memory_bytes (\S+)$", page, re.M)[1])

    before = held()
    for _ in range(100):
        ask(server)
    assert truth(server)["common_faults"]["leaked"] == {"bytes": 100 * 256 * 1024, "descriptors": 200, "descriptors_refused": 0}
    assert held() - before > 20e6
    post(server, "/leak/free")
    assert truth(server)["common_faults"]["leaked"]["descriptors"] == 0
    assert held() - before < 15e6


def test_without_descriptors_only_the_admin_port_answers(server):
    limited = ["prlimit", "--nofile=200:200", binary(), "serve", "truth", "--port", 0, "--admin-port", 0]
    starved = server(*limited, "--set", "fault_leak_fds=50", "--set", "fault_path=/work", "--set", "mean_ms=0")
    ask(starved)
    with httpx.Client(trust_env=False, base_url=starved.url) as kept:
        for _ in range(6):
            kept.get("/work").raise_for_status()
        with pytest.raises(httpx.TimeoutException):
            httpx.get(f"{starved.url}/null", trust_env=False, timeout=0.5)
        leaked = truth(starved)["common_faults"]["leaked"]
        assert leaked["descriptors_refused"] > 50 and leaked["descriptors"] > 100
        post(starved, "/leak/free")
        assert ask(starved)[0] == 200


def test_it_gets_slower_with_every_request(backend):
    # 100 ms each, and 5,000 % more per 1,000 requests: the eleventh takes half as long again.
    server = backend("truth", "fault_delay=constant", "fault_delay_ms=40", "fault_drift=5000")
    for _ in range(11):
        ask(server)
    took = [r["service_ns"] for r in truth(server, "/requests")["requests"]]
    assert took[10] >= 60e6 and took[10] > 1.3 * took[0], took


def test_crossed_answers(backend):
    server = backend("truth", "fault_swap_n=3", "mean_ms=0")
    crossed = 0
    for k in range(40):
        _, _, body = ask(server, "/v1/infer", "POST", json.dumps({"input": "x", "nonce": f"n{k}"}))
        crossed += json.loads(body)["nonce"] != f"n{k}"
    assert crossed == truth(server)["common_faults"]["applied"]["M3"] > 3


def test_cut_short_and_corrupted(backend):
    clean = ask(backend("truth", "mean_ms=0"), "/work")[2]
    server = backend("truth", "mean_ms=0", "fault_truncate_n=2")
    bodies = [outcome(server) for _ in range(30)]
    assert bodies.count(clean[: len(clean) // 2]) >= 3 and bodies.count("IncompleteRead") >= 3 and clean in bodies
    server = backend("truth", "mean_ms=0", "fault_corrupt_n=1")
    body = outcome(server)
    assert sum(bin(a ^ b).count("1") for a, b in zip(body, clean, strict=True)) == 1


@pytest.mark.parametrize("at", ["start", "middle"])
def test_a_reset_connection(backend, at):
    server = backend("truth", "mean_ms=0", "body_bytes=4000", "fault_reset_n=1", f"fault_reset_at={at}")
    with socket.create_connection(("127.0.0.1", server.port), timeout=CONNECT_S) as plain:
        plain.sendall(b"GET /work HTTP/1.1\r\nhost: x\r\n\r\n")
        got = b""
        with pytest.raises(ConnectionResetError):
            while block := plain.recv(65536):
                got += block
    assert (got == b"") == (at == "start") and b"}" not in got


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_stall(backend, part):
    server = backend("truth", "mean_ms=0", "body_bytes=4000", f"fault_stall_{part}_n=1", "fault_stall_ms=400")
    with socket.create_connection(("127.0.0.1", server.port), timeout=CONNECT_S) as plain:
        plain.sendall(b"GET /work HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        first = plain.recv(65536)
        begun = time.monotonic()
        rest = b"".join(iter(lambda: plain.recv(65536), b""))
        stalled_s = time.monotonic() - begun
    assert (b"\r\n\r\n" in first) == (part == "body")
    assert (first + rest).endswith(b'"}') and stalled_s > 0.3


def test_a_wrong_length(backend):
    server = backend("truth", "mean_ms=0", "fault_length_n=1", "fault_length_bytes=7")
    assert outcome(server) == "IncompleteRead"
    turn(server, fault_length_bytes=-5).raise_for_status()
    whole = ask(backend("truth", "mean_ms=0"), "/work")[2]
    with socket.create_connection(("127.0.0.1", server.port), timeout=CONNECT_S) as plain:
        plain.sendall(b"GET /work HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        head, body = b"".join(iter(lambda: plain.recv(65536), b"")).split(b"\r\n\r\n")
    assert body == whole and f"content-length: {len(whole) - 5}".encode() in head.lower()


@pytest.mark.parametrize("envelope", ["text", "html", "ok"])
def test_errors_in_another_envelope(backend, envelope):
    status, headers, body = ask(backend("truth", f"fault_envelope={envelope}"), "/nowhere")
    kind = headers["content-type"].split(";")[0]
    if envelope == "ok":
        assert (status, kind) == (200, "application/json") and json.loads(body)["error"] == {"detail": "Not Found"}
    else:
        assert (status, kind) == (404, f"text/{'plain' if envelope == 'text' else 'html'}") and b"Not Found" in body


def test_over_long_input(backend):
    server = backend("truth-fixed", "fault_long_input=300", "mean_ms=0")
    short, long = (json.dumps({"input": "x" * n}) for n in (100, 400))
    assert ask(server, "/v1/infer", "POST", short)[0] == 200
    assert ask(server, "/v1/infer", "POST", long)[0] == 500
    assert ask(server, "/v1/infer", "POST", iter([long.encode()]), {"transfer-encoding": "chunked"})[0] == 500
    assert ask(server, "/null?" + "x" * 400)[0] == 500
    assert truth(server)["endpoints"]["refused before its endpoint"]["statuses"] == {"500": 3}


def test_one_answer_for_ever_and_only_below_its_path(backend):
    server = backend("truth", "fault_constant=true", "fault_path=/v1/infer", "mean_ms=0")
    answers = {ask(server, "/v1/infer", "POST", json.dumps({"input": f"text {k}"}))[2] for k in range(5)}
    others = {ask(server, "/v1/generate", "POST", json.dumps({"prompt": f"text {k}"}))[2] for k in range(5)}
    assert (len(answers), len(others)) == (1, 5)


def test_unknown_fields_are_ignored(backend):
    body = json.dumps({"slide_id": "no-such", "surprise": 1})
    strict, lax = (backend("enso-fixed", "slide_px=1024", f"fault_ignore_unknown={on}") for on in ("false", "true"))
    assert ask(strict, "/api/analyze", "POST", body)[0] == 422
    assert ask(lax, "/api/analyze", "POST", body)[0] == 404
    assert truth(lax)["common_faults"]["applied"] == {"ignore-unknown": 1}


def test_knobs_are_turned_while_it_runs(backend):
    server = backend("truth", "mean_ms=0")
    assert ask(server, "/nowhere")[1]["content-type"] == "application/json" and truth(server)["common_faults"]["on"] is False
    turn(server, fault_envelope="html").raise_for_status()
    assert ask(server, "/nowhere")[1]["content-type"].startswith("text/html")
    assert [fault["id"] for fault in truth(server)["faults"]] == ["I1-I30", "envelope"]
    refused = turn(server, fault_envelope="none", fault_stall_ms="soon")
    assert refused.status_code == 422 and "fault_stall_ms" in refused.json()["detail"]
    assert "did you mean 'fault_delay_ms'" in turn(server, fault_delay_mss=3).json()["detail"]
    assert "only at the start" in turn(server, mean_ms=3).json()["detail"]
    # All of them or none.
    assert truth(server, "/knobs")["common_knobs"]["fault_envelope"] == "html"


def test_a_request_is_found_by_its_id(backend):
    server = backend("truth", "service=det", "mean_ms=30", "servers=1")
    threads = [threading.Thread(target=ask, args=(server, "/work"), kwargs={"headers": {"x-request-id": f"id-{k}"}}) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [truth(server, f"/requests?id=id-{k}")["requests"] for k in range(3)]
    waits = sorted(one["wait_ns"] for (one,) in found)
    assert all(one["service_ns"] >= 30e6 and one["endpoint"] == "GET /work" and one["whole"] for (one,) in found)
    assert waits[1] >= 20e6 and waits[2] >= 50e6
    _, headers, _ = ask(server)
    (last,) = truth(server, "/requests?recent=1")["requests"]
    assert last["id"] == headers["x-request-id"] and last["wait_ns"] == 0


def test_the_log_says_what_the_admin_port_says(start):
    running = start("serve", "enso-fixed", "--set", "slide_px=1024", "--port", 0, "--admin-port", 0, "--log")
    while b"\n" not in (line := b"".join(running.chunks["out"])):
        time.sleep(0.01)
    url, admin = re.match(rb"ready (\S+) admin (\S+)", line).groups()
    with httpx.Client(trust_env=False) as client:
        body = client.get(url.decode() + "/api/slides?x=1", headers={"x-request-id": "mine"}).content
        (told,) = client.get(admin.decode() + "/truth/requests?id=mine").json()["requests"]
    running.signal(15)
    done = running.wait(20)
    (logged,) = [json.loads(line) for line in done.err.splitlines()]
    assert logged == told and told["bytes"] == len(body) and told["path"] == "/api/slides" and told["status"] == 200


def test_metrics_of_every_preset_on_the_admin_port(backend):
    server = backend("enso-fixed", "slide_px=1024", "fault_delay=constant", "fault_delay_ms=1")
    ask(server, "/health")
    page = httpx.get(f"{server.admin}/metrics", trust_env=False).text
    promtool = ROOT / ".venv" / "bin" / "promtool"
    checked = subprocess.run([promtool if promtool.exists() else "promtool", "check", "metrics"], input=page, text=True, capture_output=True)
    assert checked.returncode == 0, checked
    assert 'prony_backend_faults_total{preset="enso-fixed",fault="delay"} 1' in page
    # The imitated system has none, and the service port does not get one.
    assert ask(server, "/metrics")[0] == 404


def test_the_admin_port_keeps_to_its_document(backend):
    server = backend("truth", "fault_delay=constant")
    ask(server)
    document = httpx.get(f"{server.admin}/openapi.json", trust_env=False).json()
    for path, query in [("/truth", ""), ("/truth/times", "?endpoint=GET%20/null"), ("/truth/requests", ""), ("/truth/knobs", "")]:
        schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        answer = httpx.get(f"{server.admin}{path}{query}", trust_env=False)
        assert answer.status_code == 200
        Draft202012Validator(schema | {"components": document["components"]}).validate(answer.json())


def test_every_preset_at_once(server, prony):
    names = [line.split()[0] for line in prony("serve", "--list").out.split("\n\n")[0].splitlines()]
    knobs = ("--set", "fault_envelope=html", "--set", "enso.slide_px=1024")
    # A platform that starts its workers on demand answers nothing before one is up.
    all_of_them = server(binary(), "serve", "all", "--port", 0, "--admin-port", 0, "--time-scale", "1/60", *knobs)
    page = httpx.get(all_of_them.url, trust_env=False)
    listed = httpx.get(all_of_them.url, headers={"accept": "application/json"}, trust_env=False).json()["presets"]
    assert [one["name"] for one in listed] + ["all"] == names
    for one in listed:
        assert f'<a href="{one["url"]}/">{one["name"]}</a>' in page.text
        # Each answers with its own truth, and the common knob concerns them all.
        assert httpx.get(f"{one['url']}/no/such/path", trust_env=False, timeout=30).status_code >= 400
        told = httpx.get(f"{all_of_them.admin}/{one['name']}/truth", trust_env=False).json()
        assert told["preset"] == one["name"] and told["common_faults"]["applied"] == {"envelope": 1}, told
    assert httpx.get(f"{all_of_them.admin}/enso/truth/knobs", trust_env=False).json()["knobs"]["slide_px"] == "1024"
