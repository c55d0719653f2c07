"""What the binary reports, held against what the backend's admin port knows of the same requests."""

import httpx
import pytest

# The truth is stamped inside the server, the report outside of it: the socket and the scheduler lie between them.
SHARE, FLOOR_NS = 0.01, 50_000
QUANTILES = ("p50", "p90", "p99")
pytestmark = [pytest.mark.alone, pytest.mark.usefixtures("awake")]


def agree(measured_ns, true_ns, machine_ns) -> bool:
    """`machine_ns` is how late any thread wakes here: the client after the answer, the server before it."""
    return abs(measured_ns - true_ns) <= max(SHARE * true_ns, FLOOR_NS, 2 * machine_ns)


def truth(server, endpoint="GET /work") -> dict:
    return httpx.get(f"{server.admin}/truth", trust_env=False).json()["endpoints"][endpoint]


@pytest.fixture
def reset(machine):
    """Forgets what was: `reset(server)` returns what to do before a run."""

    def reset(server):
        def forget():
            assert httpx.post(f"{server.admin}/truth/reset", trust_env=False).json() == {"reset": True}
            machine.adds_ns()

        return forget

    return reset


def ok_rows(report) -> list:
    return [row for phase in report.phases() for row in phase["rows"] if row["outcome"] == "ok"]


def ok_row(report) -> dict:
    (row,) = ok_rows(report)
    return row


def quantile(distribution, name) -> int:
    (found,) = [q for q in distribution["quantiles"] if q["p"] == int(name[1:]) / 100]
    assert found["needs_n"] == 0, f"{name} was not estimable: {found}"
    return found["value"]


def covers(distribution, name, true_ns, machine_ns) -> bool:
    """The interval that the report gives must cover the truth as well."""
    (q,) = [q for q in distribution["quantiles"] if q["p"] == int(name[1:]) / 100]
    return q["lo"] - 2 * machine_ns <= true_ns * (1 + SHARE) and true_ns * (1 - SHARE) <= q["hi"]


@pytest.fixture
def lognormal(backend):
    """Sixteen servers whose service time is lognormal around 20 ms: no request here ever waits for one."""
    return backend("truth", "service=lognormal", "mean_ms=20", "sigma=0.5", "servers=16")


SHAPES = {
    "closed": ["-c", 4, "-n", 1600],
    "open": ["--rate", 160, "--arrivals", "constant", "-d", "10s"],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_quantiles_and_rate(prony, measure, machine, reset, lognormal, shape):
    prony("load", f"{lognormal.url}/work", "-c", 8, "-n", 50)  # whatever is slow the first time
    url = f"{lognormal.url}/work"

    def judge(done, found):
        adds_ns = machine.adds_ns()
        done.ended(0)
        true = truth(lognormal)
        row = ok_row(found)
        assert row["n"] == true["count"] == 1600
        for name in QUANTILES:
            true_ns = true["sojourn_ns"][name]
            measured_ns = quantile(row["service"], name)
            assert agree(measured_ns, true_ns, adds_ns), (name, measured_ns, true_ns, adds_ns)
            assert covers(row["service"], name, true_ns, adds_ns), (name, row["service"], true_ns)
            # The document for scripts says the same as the recording.
            assert abs(done.json()["latency"]["service"][f"{name}_ms"] * 1e6 - quantile(row["service"], name)) <= 1000
        (phase,) = found.phases()
        if shape == "open":
            true_rate = 160.0
        else:
            # Four callers that never pause: the rate is four over the mean time that each spends in the server.
            true_rate = 4 / (true["sojourn_ns"]["mean"] / 1e9)
        # Between an answer and the next request of its caller lies what the machine adds.
        share = SHARE + 2 * adds_ns / true["sojourn_ns"]["mean"]
        assert abs(phase["achieved_per_s"] - true_rate) <= share * true_rate, (phase["achieved_per_s"], true_rate)

    measure("load", url, *SHAPES[shape], "--json", before=reset(lognormal), judge=judge)


def test_a_suite_measures_the_same(measure, machine, reset, lognormal, tmp_path):
    suite = tmp_path / "truth.toml"
    suite.write_text(f"""
[target]
url = "{lognormal.url}"

[[scenario]]
name = "work"
[scenario.http]
path = "/work"

[[phase]]
name = "poisson"
scenarios = ["work"]
shape.open = {{ rate = 150, duration_s = 8 }}

[[gate]]
phase = "poisson"
check = "error_share <= 0.01"
""")

    def judge(done, found):
        adds_ns = machine.adds_ns()
        done.ended(0)
        true = truth(lognormal)["sojourn_ns"]
        # A phase that was disturbed is measured once more: the truth is then that of both.
        rows = ok_rows(found)
        assert sum(row["n"] for row in rows) == truth(lognormal)["count"]
        for name in QUANTILES:
            if len(rows) == 1:
                assert agree(quantile(rows[0]["service"], name), true[name], adds_ns), (name, adds_ns)
            assert all(covers(row["service"], name, true[name], adds_ns) for row in rows), (name, rows, adds_ns)

    measure("run", suite, before=reset(lognormal), judge=judge)


def test_waiting_counts_from_when_a_request_was_due(measure, machine, reset, backend):
    """A server that takes exactly 10 ms, one at a time, asked 150 times a second: the queue grows by half a request per
    service time, and a user waits for all of it. A tool that starts its clock late would show 10 ms."""
    slow = backend("truth", "service=det", "mean_ms=10", "servers=1")
    shape = ["--rate", 150, "--arrivals", "constant", "-d", "4s"]

    def judge(_, found):
        row, true, adds_ns = ok_row(found), truth(slow), machine.adds_ns()
        assert row["n"] == true["count"] == 600
        # 600 requests take 6 s to serve and are due within 4 s: the last one waits about 2 s, the middle one about 1 s.
        assert agree(row["response"]["mean_ns"], true["sojourn_ns"]["mean"], adds_ns)
        assert agree(row["response"]["max"], true["sojourn_ns"]["max"], adds_ns)
        assert row["response"]["mean_ns"] > 0.95e9 and row["response"]["max"] > 1.9e9
        # Neighbours in a growing queue are nearly one observation: a median of them would be a guess, and is not offered.
        assert all(q["needs_n"] > 0 for q in row["response"]["quantiles"])

    measure("load", f"{slow.url}/work", *shape, before=reset(slow), judge=judge)


def test_every_request_is_accounted_for(measure, reset, backend):
    """A queue of two places before one server: most of a burst is refused, and none of it is lost or averaged away."""
    small = backend("truth", "service=det", "mean_ms=20", "servers=1", "queue_max=2")

    def judge(done, found):
        done.ended(1)
        true = truth(small)
        rows = {row["outcome"]: row["n"] for phase in found.phases() for row in phase["rows"]}
        assert rows == {"ok": true["statuses"]["200"], "status-503": true["statuses"]["503"]}
        assert sum(rows.values()) == 40

    measure("load", f"{small.url}/work", "--burst", 40, before=reset(small), judge=judge)
