"""Somebody else's results: each file of them gets its verdict as exit code, and a file that is wrong gets told where."""

import json
import subprocess

import jsonschema
import pytest

from conftest import ROOT, binary

RESULTS = sorted((ROOT / "suites" / "results").glob("*.csv"))
# Exit codes: contradicted 1, not supported 3, supported 0.
CODES = {
    "enso.csv": 1,
    "enso-requests.csv": 3,
    "healthy.csv": 0,
    "media.csv": 3,
    "media-requests.csv": 3,
    "runpod.csv": 1,
    "semantic.csv": 1,
    "vision.csv": 3,
}


def test_every_file_has_its_verdict_here():
    assert {path.name for path in RESULTS} == CODES.keys()


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_the_verdict_is_the_exit_code(prony, path):
    done = prony("judge", path)
    assert done.code == CODES[path.name], done
    assert done.err == "" and "\x1b" not in done.out, done
    told = prony("judge", path, "--json")
    assert told.code == done.code, told
    jsonschema.validate(told.json(), json.loads(prony("schema", "judge").out))
    for row in told.json()["rows"]:
        assert row["id"] in done.out and row["findings"], row


@pytest.mark.parametrize(
    "name, row, says",
    [
        ("semantic.csv", "pool", "1.45"),
        ("semantic.csv", "rate", "0.967/s, not 20/s"),
        ("semantic.csv", "p99", "needs 299"),
        ("runpod.csv", "cold-start", "no run without the cause"),
        ("runpod.csv", "warm", "9.5 s"),
        ("runpod.csv", "round-1", "69.3 % to 96.2 %"),
        ("runpod.csv", "round-2", "p = 0.67"),
        ("media.csv", "together", "less than 1.87 s"),
        ("media.csv", "faster", "never measured"),
        ("enso.csv", "T8.avg", "GET /api/health takes 28 ms"),
        ("enso.csv", "memory", "0.234 MiB per request"),
        ("enso.csv", "T7.avg", "Wall time over n is not latency"),
        ("vision.csv", "leak", "blind below"),
        ("vision.csv", "regression", "blind below 50 %"),
    ],
)
def test_the_objection_that_a_claim_deserves(prony, name, row, says):
    rows = prony("judge", ROOT / "suites" / "results" / name, "--json").json()["rows"]
    found = next(r for r in rows if r["id"] == row)
    assert found["verdict"] in ("fail", "inconclusive"), found
    assert says in " ".join(finding["title"] for finding in found["findings"]), found


def test_standard_input_and_other_notations(tmp_path):
    for text in (
        "metric;value;n;ok\nsuccess;86.7%;30;26\n",
        '{"metric": "success", "value": "86.7%", "n": 30, "ok": 26}\n',
        '[{"metric": "success", "value": 86.7, "unit": "%", "n": 30, "ok": 26}]',
    ):
        done = subprocess.run([binary(), "judge", "-"], input=text.encode(), capture_output=True, timeout=30, check=False)
        assert done.returncode == 3 and b"69.3 % to 96.2 %" in done.stdout, done


@pytest.mark.parametrize(
    "text, says",
    [
        ("metric,valeu\nlatency,1ms\n", ["valeu", "did you mean `value`?", "known here: id, claim"]),
        ("metric,value\nlatency,12\n", ["line 2", "no unit"]),
        ("metric,value\nlatncy,12ms\n", ["line 2", "did you mean `latency`?"]),
        ("latency_ms,staus\n5,200\n", ["staus", "did you mean `status`?"]),
        ("", ["is empty", "prony judge --help"]),
        ("metric\n", ["no rows"]),
    ],
)
def test_a_wrong_file_is_told_where(prony, tmp_path, text, says):
    path = tmp_path / "x.csv"
    path.write_text(text)
    done = prony("judge", path)
    assert done.code == 64 and done.out == "", done
    for part in ("x.csv", *says):
        assert part in done.err, (part, done)


def test_nothing_in_a_file_acts_on_the_reader(prony, tmp_path):
    path = tmp_path / "x.csv"
    evil = "\x1b[2J\u202e\x07"
    path.write_text(f"metric,id,claim,endpoint,n,ok\nsuccess,a{evil},b{evil},c{evil},5,4\n")
    for more in ([], ["--json"]):
        done = prony("judge", path, *more)
        assert done.code == 3 and not set("\x1b\u202e\x07") & set(done.text), done
    for bad in (b"\xff\xfe", b"metric\n" + evil.encode() + b"\n", evil.encode() + b",metric\n1,2\n"):
        path.write_bytes(bad)
        done = prony("judge", path)
        assert done.code == 64 and not set("\x1b\u202e\x07") & set(done.text), done


def test_a_file_that_never_ends_is_bounded(prony):
    done = prony("judge", "/dev/zero", timeout=60)
    assert done.code == 64 and "larger than" in done.err, done
    assert done.rss_max_mib < 400, done.rss_max_mib
