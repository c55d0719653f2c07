"""Bad input gets one clear message with what to do next, or an outcome class of its own; bounded in time and memory."""

import re

import pytest

RSS_MAX_MIB = 200


def outcomes(done) -> set:
    """Names of the outcomes that a `prony load --json` counted."""
    return {row["outcome"] for row in done.json()["outcomes"] if row["n"]}


# Misdeed of the hostile server, further flags, outcomes that name it rightly.
MISDEEDS = [
    ("ok", [], {"ok"}),
    ("redirect-self", ["--redirects", 5], {"redirect-loop"}),
    ("redirect-ring", ["--redirects", 5], {"redirect-loop"}),
    ("redirect-self", [], {"status-3xx"}),
    ("endless-chunks", [], {"body-timeout", "body-too-large"}),
    ("endless-close", [], {"body-timeout", "body-too-large"}),
    ("huge-length", [], {"body-timeout", "body-too-large"}),
    ("short-body", [], {"truncated"}),
    ("long-body", [], {"trailing-bytes"}),
    ("bad-utf8", [], {"ok"}),
    ("giant-header", [], {"headers-too-large"}),
    ("many-headers", [], {"headers-too-large"}),
    ("drip", [], {"body-timeout"}),
    ("drip-head", [], {"headers-timeout"}),
    ("silent", [], {"headers-timeout"}),
    ("hang-up", [], {"reset"}),
    ("not-http", [], {"malformed"}),
    ("bad-chunk", [], {"malformed"}),
    ("two-lengths", [], {"malformed"}),
    ("control-header", [], {"malformed"}),
    ("injection", [], {"ok"}),
]


@pytest.mark.parametrize("misdeed, flags, named", MISDEEDS, ids=[f"{m}{'-followed' * bool(f)}" for m, f, _ in MISDEEDS])
def test_each_misdeed_has_its_own_outcome(prony, hostile, misdeed, flags, named):
    target = hostile()
    done = prony("load", f"{target.url}/{misdeed}", "-c", 2, "-n", 4, "--timeout", "1500ms", "--json", *flags)
    seen = outcomes(done)
    assert seen and seen <= named, (seen, done)
    done.ended(0 if named == {"ok"} else 1)
    assert done.rss_max_mib < RSS_MAX_MIB, done.rss_max_mib


@pytest.mark.parametrize(
    "misdeed",
    ["endless-chunks", "huge-length", "giant-header", "drip", "silent", "hang-up", "not-http", "redirect-self", "bad-utf8"],
)
def test_check_survives_a_server_that_does_nothing_else(prony, hostile, tmp_path, misdeed):
    target = hostile(misdeed)
    done = prony(
        "check", target.url, "--quick", "--timeout", "500ms", "--connect-timeout", "500ms", "-d", "20s",
        "-o", tmp_path / "out", timeout=90,
    )
    assert done.code != 0, done
    assert done.err.strip() or done.out.strip(), done
    assert done.rss_max_mib < RSS_MAX_MIB, done.rss_max_mib


def test_nothing_that_a_target_says_acts_on_the_reader(prony, hostile, tmp_path):
    target = hostile()
    done = prony("check", target.url, "--quick", "--timeout", "2s", "-o", tmp_path / "out", timeout=120)
    rendered = prony("report", tmp_path / "out", "--no-color")
    markdown = (tmp_path / "out" / "report.md").read_text()
    for text in (done.out, done.err, rendered.out, markdown):
        assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text
    assert "<script" not in markdown.lower() and "<img" not in markdown.lower()
    assert not re.search(r"(?<!\\)\]\(javascript:", markdown)
    assert "speak" in markdown, "it was looked at, not thrown away"


def test_tls_to_a_plain_port(prony, archive, hostile):
    """uvicorn answers a handshake in plain text; the hostile server waits for the rest of the request for ever."""
    for target, named in ((archive(""), {"tls"}), (hostile(), {"connect-timeout"})):
        url = target.url.replace("http:", "https:")
        more = ["--insecure", "--connect-timeout", "1s"]
        done = prony("load", f"{url}/internal/live", "-c", 1, "-n", 2, "--json", *more)
        assert done.code == 69 and outcomes(done) == named, done
        for done in (done, prony("check", url, *more)):
            assert done.code == 69, done
            assert "TLS" in done.err and "http://" in done.err, done


def test_a_refused_connection(prony, closed_port):
    for args in (["check", f"http://127.0.0.1:{closed_port}"], ["load", f"http://127.0.0.1:{closed_port}/x", "-n", 3, "-c", 1]):
        done = prony(*args)
        assert done.code == 69, done
        assert str(closed_port) in done.text and "refused" in done.err.lower() and "next:" in done.err, done


def test_a_host_that_does_not_exist(prony):
    done = prony("load", "http://no-such-host.invalid/", "-n", 1, "-c", 1, "--allow-host", "no-such-host.invalid")
    assert done.code == 69 and "no-such-host.invalid" in done.text, done


@pytest.mark.parametrize("url", ["http://192.0.2.7/", "https://198.51.100.1:8000/x", "http://[2001:db8::1]/"])
def test_load_goes_to_loopback_unless_allowed_by_name(prony, url):
    for command in ("check", "load"):
        done = prony(command, url)
        assert done.code == 64 and "--allow-host" in done.err, done


@pytest.mark.parametrize(
    "args, says",
    [
        (["load", "ftp://127.0.0.1/x"], "http"),
        (["load", "http://127.0.0.1:99999/"], "port"),
        (["load", "http://127.0.0.1:1/", "-d", "10"], "10s"),
        (["load", "http://127.0.0.1:1/", "-d", "10 parsecs"], "500ms, 10s"),
        (["load", "http://127.0.0.1:1/", "--rate", "fast"], "200"),
        (["load", "http://127.0.0.1:1/", "-c", "0"], "1"),
        (["load", "http://127.0.0.1:1/", "-c", "4", "--rate", "5"], "cannot be used with"),
        (["load", "http://127.0.0.1:1/", "-H", "no colon"], "Name: value"),
        (["load", "http://127.0.0.1:1/", "--bearer-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE"),
        (["load", "http://127.0.0.1:1/", "-f", "absent.json"], "absent.json"),
        (["load", "https://127.0.0.1:1/", "--cacert", "absent.pem"], "absent.pem"),
        (["run", "absent.toml"], "absent.toml"),
        (["run", "."], "directory"),
        (["report", "absent"], "absent"),
    ],
)
def test_a_wrong_flag_says_what_would_be_right(prony, args, says):
    done = prony(*args)
    assert done.code == 64, done
    assert says in done.err, done
    assert len(done.err.splitlines()) <= 12, done


GOOD = """
[target]
url = "http://127.0.0.1:1"

[[scenario]]
name = "health"
[scenario.http]
path = "/health"

[[phase]]
name = "warm"
scenarios = ["health"]
shape.closed = { connections = 2, requests = 10 }

[[gate]]
phase = "warm"
check = "p99_ms <= 500"
"""
# What to break in the suite, and what the diagnostic must say.
BROKEN = [
    ("connections = 2", "conections = 2", ["conections", "connections"]),
    ('path = "/health"', 'pth = "/health"', ["pth", "path"]),
    ("[[gate]]", "[[gates]]", ["gates", "gate"]),
    ("shape.closed", "shape.closd", ["closd", "closed"]),
    ('scenarios = ["health"]', 'scenarios = ["heath"]', ["heath", "health"]),
    ('phase = "warm"\ncheck', 'phase = "wram"\ncheck', ["wram", "warm"]),
    ("p99_ms <= 500", "p99ms <= 500", ["p99ms", "p99_ms"]),
    ("p99_ms <= 500", "p99_ms <= 500ms", ["500ms"]),
    ("requests = 10", 'requests = "10"', ["requests"]),
    ("requests = 10", "requests = -10", ["-10"]),
    ('url = "http://127.0.0.1:1"', 'url = "http://127.0.0.1:1', ["url"]),
    ("[target]", "[experiment.baselin]\n[target]", ["baselin", "baseline"]),
]


@pytest.mark.parametrize("old, new, says", BROKEN, ids=[new.replace("\n", " ") for _, new, _ in BROKEN])
def test_a_misspelt_suite_is_shown_where_it_is_wrong(prony, tmp_path, old, new, says):
    assert old in GOOD
    path = tmp_path / "suite.toml"
    path.write_text(GOOD.replace(old, new, 1))
    done = prony("run", path)
    assert done.code == 64, done
    for text in ("suite.toml", *says):
        assert text in done.err, (text, done)
    assert done.out == "", done


def test_the_unbroken_suite_is_fine(prony, tmp_path):
    path = tmp_path / "suite.toml"
    path.write_text(GOOD)
    assert prony("run", path, "--dry-run").code == 0
    refused = prony("run", path)
    assert refused.code == 69 and "refused" in refused.err, refused
    path.write_text(GOOD.replace("127.0.0.1", "192.0.2.1"))
    foreign = prony("run", path)
    assert foreign.code == 64 and "--allow-host" in foreign.err, foreign


def test_a_suite_that_is_not_text(prony, tmp_path):
    path = tmp_path / "suite.toml"
    path.write_bytes(b"\xff\xfe\x00[target]")
    done = prony("run", path)
    assert done.code == 64 and "suite.toml" in done.err and "UTF-8" in done.err, done


def test_an_output_folder_in_use_is_not_overwritten(prony, backend, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    target = backend("enso-fixed")
    done = prony("load", f"{target.url}/health", "-n", 10, "-c", 1, "-o", tmp_path / "out")
    assert done.code == 64 and "out" in done.err, done
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]
