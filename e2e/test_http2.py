"""HTTP/2 against an implementation by someone else: streams share connections, flows and feeds work as over HTTP/1.1."""

import sys
from pathlib import Path

import httpx
import pytest

HERE = Path(__file__).resolve().parent
TLS = HERE / "tls"


@pytest.fixture(params=["plain", "tls"])
def multiplexed(request, server):
    """The service, and the flags that reach it."""
    script = HERE / "independent" / "multiplexed.py"
    if request.param == "plain":
        return server(sys.executable, script), []
    flags = ["--cacert", TLS / "authority.pem", "--server-name", "app.test"]
    return server(sys.executable, script, "--pem", TLS / "server.pem"), flags


def seen(service) -> dict:
    return httpx.get(f"{service.url}/seen", verify=False, trust_env=False).json()


def test_streams_share_connections(prony, multiplexed):
    service, flags = multiplexed
    load = ["load", f"{service.url}/score?token=token-x", "--http2", "-c", 2, "--streams", 8, "-n", 400, *flags]
    done = prony(*load, "--json").ended(0)
    assert "8 streams" in done.err, done
    found = done.json()
    assert found["requests"]["ok"] == 400
    assert found["transfer"]["connections"] == 2
    assert found["in_flight"]["max"] == 16
    known = seen(service)
    assert known["versions"] == {"2": 400, "1.1": 1} and known["tokens"] == {"token-x": 400}
    # Two of them, and the one that asks what was seen.
    assert len(known["connections"]) == 3


def test_a_flow_carries_its_values(prony, report, multiplexed, tmp_path):
    service, flags = multiplexed
    (tmp_path / "users.csv").write_text("name\nada\nbob\ncyn\n")
    tls = f"cacert = {str(TLS / 'authority.pem')!r}\nserver_name = 'app.test'\n" if flags else ""
    suite = tmp_path / "suite.toml"
    suite.write_text(f"""
[target]
url = "{service.url}"
http = "2"
streams = 4
{tls}
[feed.users]
file = "users.csv"

[[scenario]]
name = "score"
[[scenario.step]]
name = "session"
http.path = "/session?user={{{{users.name}}}}"
carry.token = {{ json = "/token" }}
[[scenario.step]]
name = "score"
http.path = "/score?token={{{{carry.token}}}}"

[[phase]]
name = "flows"
scenarios = ["score"]
shape.closed = {{ connections = 2, requests = 60 }}

[[gate]]
phase = "flows"
check = "failed_count == 0"
""")
    done = prony("run", suite, "-o", tmp_path / "out")
    done.ended(0)
    known = seen(service)
    # And the one that found out whether the target is there.
    assert known["versions"]["2"] == 121, known
    # Every flow brought its own token.
    assert len(known["tokens"]) == 60 and set(known["tokens"].values()) == {1}


def test_a_server_that_speaks_http1_only_is_said(prony, backend):
    done = prony("load", f"{backend('enso-fixed').url}/health", "--http2", "-n", 3, "-c", 1)
    assert done.code == 69 and "HTTP/2" in done.err and "--http2" in done.err, done
