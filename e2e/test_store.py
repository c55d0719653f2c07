"""The object store's part of suites/runpod.toml, unchanged: against the preset's store and against moto's server, which checks every
signature with botocore's code. What the stores hold and count afterwards is the truth; a wrong key is named with the next step."""

import sys
import tomllib
import urllib.request

import boto3
import httpx
import pytest
from botocore.config import Config
from conftest import HERE, ROOT, Report
from test_engines import ENGINES, Stranger, free_port

SUITE = ROOT / "suites" / "runpod.toml"
BUCKET = "fitting-room"
ALONE, WHOLE = "store alone", "with uploads: 30 requests, 15 at a time"
STEPS = {name: [step["name"] for step in scenario["step"]] for scenario in tomllib.loads(SUITE.read_text())["scenario"]
         if (name := scenario["name"]) in ("store", "try-on with uploads")}


class Moto(Stranger):
    """moto's server with one bucket and one user. From the end of `__init__` on it refuses what that user did not sign."""

    def __init__(self, log):
        port = free_port()
        super().__init__("/moto-api/", [ENGINES / "moto_server", "-H", "127.0.0.1", "-p", port], port, log)
        anyone = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
        self.client("s3", anyone).create_bucket(Bucket=BUCKET)
        iam = self.client("iam", anyone)
        iam.create_user(UserName="fitter")
        allowed = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
        iam.put_user_policy(UserName="fitter", PolicyName="store", PolicyDocument=allowed)
        key = iam.create_access_key(UserName="fitter")["AccessKey"]
        self.access, self.secret = key["AccessKeyId"], key["SecretAccessKey"]
        self.keys = {"AWS_ACCESS_KEY_ID": self.access, "AWS_SECRET_ACCESS_KEY": self.secret}
        self.checks(True)

    def client(self, service, keys):
        config = Config(retries={"total_max_attempts": 1}, proxies={}, s3={"addressing_style": "path"})
        return boto3.client(service, endpoint_url=self.url, region_name="us-east-1", config=config, **keys)

    def checks(self, whether):
        """Turns the check of signatures on or off."""
        httpx.post(f"{self.url}/moto-api/reset-auth", content=b"0" if whether else b"inf", trust_env=False).raise_for_status()

    def objects(self):
        mine = {"aws_access_key_id": self.access, "aws_secret_access_key": self.secret}
        pages = self.client("s3", mine).get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    store = Moto(tmp_path_factory.mktemp("moto") / "log")
    yield store
    store.end()


def aimed(url, region="us-east-1"):
    return ["--set", f"origin.store.url={url}", "--set", f"origin.store.sign.s3.region={region}"]


def rows(found, phase):
    (one,) = [p for p in found.phases() if p["name"] == phase]
    return one, {row["scenario"]: row for row in one["rows"]}


def whole(found, phase, scenario, n):
    """Every arrival is good, and each of its steps has a row with times of its own."""
    one, of = rows(found, phase)
    assert (one["offered"], one["ok"], one["failed"]) == (n, n, 0), one
    assert set(of) == {scenario} | {f"{scenario}/{step}" for step in STEPS[scenario]}
    for row in of.values():
        assert (row["outcome"], row["n"]) == ("ok", n) and row["service"]["n"] == n, row
    parts = sum(of[f"{scenario}/{step}"]["service"]["mean_ns"] for step in STEPS[scenario])
    assert parts <= of[scenario]["service"]["mean_ns"] * 1.001, of


@pytest.mark.parametrize("kept", ["in variables", "in files"])
def test_moto_takes_what_was_signed_and_gives_it_back(prony, moto, tmp_path, kept):
    more, env = [], moto.keys
    if kept == "in files":
        env = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "elses"}
        for half, key in (("access", moto.access), ("secret", moto.secret)):
            (tmp_path / half).write_text(key + "\n")
            more += ["--set", f"origin.store.sign.s3.{half}_key_file={tmp_path / half}"]
    aim = [*aimed(f"{moto.url}/{BUCKET}"), *more]
    done = prony("run", SUITE, "--target", moto.url, "--phase", ALONE, *aim, "-o", tmp_path / "out", env=env)
    found = Report(tmp_path / "out")
    done.ended(0)
    whole(found, ALONE, "store", 10)
    assert moto.objects() == {}, "what was put there was removed"
    for file in (f for f in (tmp_path / "out").rglob("*") if f.is_file()):
        assert moto.secret.encode() not in file.read_bytes(), file
    assert moto.secret not in done.text


@pytest.mark.parametrize(
    ("variable", "value", "code", "advice"),
    [
        ("AWS_SECRET_ACCESS_KEY", "not-the-secret-half", "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_ACCESS_KEY_ID", "AKIANOBODYKNOWSTHIS1", "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_a_wrong_key_is_named_with_the_next_step(prony, moto, tmp_path, variable, value, code, advice):
    keys = moto.keys | {variable: value}
    done = prony("run", SUITE, "--target", moto.url, "--phase", ALONE, *aimed(f"{moto.url}/{BUCKET}"), "-o", tmp_path / "out", env=keys)
    done.ended(1)
    found = Report(tmp_path / "out")
    (refused,) = [f for f in found.findings("fail") if f["id"] == "origin-refused"]
    assert f"refused 10 of 10 signed requests with 403: {code}" in refused["title"], refused
    assert advice in refused["recommendation"]["advice"] and "store/upload" in refused["detail"], refused
    assert "403" in done.text and code in done.text, done
    assert "not-the-secret-half" not in done.text + found.markdown
    assert moto.objects() == {}


def test_a_missing_key_is_named_before_anything_is_sent(prony, moto, tmp_path):
    env = {"AWS_ACCESS_KEY_ID": moto.access, "AWS_SECRET_ACCESS_KEY": ""}
    done = prony("run", SUITE, "--target", moto.url, "--phase", ALONE, *aimed(f"{moto.url}/{BUCKET}"), "-o", tmp_path / "out", env=env)
    done.ended(64)
    assert "AWS_SECRET_ACCESS_KEY" in done.text and not (tmp_path / "out").exists()
    # A store that nobody named, and one that is not on this machine.
    done = prony("run", SUITE, "--target", moto.url, "--phase", ALONE, env=moto.keys).ended(64)
    assert "--set origin.store.url=" in done.text, done
    done = prony("run", SUITE, "--target", moto.url, "--phase", ALONE, *aimed("http://192.0.2.1/b"), env=moto.keys).ended(64)
    assert "--allow-host 192.0.2.1" in done.text, done


def test_a_store_that_is_not_there_is_not_taken_for_the_target(prony, moto, closed_port, tmp_path):
    gone = f"http://127.0.0.1:{closed_port}/b"
    done = prony("run", SUITE, "--target", moto.url, "--phase", ALONE, *aimed(gone), "-o", tmp_path / "out", env=moto.keys).ended(1)
    told = {f["id"] for f in Report(tmp_path / "out").findings("fail")}
    assert "origin-unreached" in told and "target-gone" not in told, done


def test_the_whole_flow_over_a_service_and_a_store_by_others(measure, moto, server, monkeypatch):
    for name, value in moto.keys.items():
        monkeypatch.setenv(name, value)
    fitting = server(sys.executable, HERE / "independent" / "fitting.py", moto.url, BUCKET)

    def judge(done, found):
        done.ended(0)
        whole(found, WHOLE, "try-on with uploads", 30)
        left = moto.objects()
        assert len(left) >= 30 and all(key.startswith("results/") for key in left), left
        assert len(set(left.values())) == 1 and min(left.values()) > 1000, "both pictures were there, whole, each time"
        assert "not watched" in found.markdown

    measure("run", SUITE, "--target", fitting.url, "--phase", WHOLE, *aimed(f"{moto.url}/{BUCKET}"), judge=judge, attempts=3, timeout=120)


def test_a_target_in_http2_and_a_store_in_http1(prony, moto, server, tmp_path):
    """One flow over both: what the target hands out is put into the store, and the body that is signed is another every time."""
    service = server(sys.executable, HERE / "independent" / "multiplexed.py")
    suite = tmp_path / "suite.toml"
    suite.write_text(f"""
[target]
url = "{service.url}"
http = "2"
streams = 4

[origin.store]
url = "{moto.url}/{BUCKET}"
sign.s3 = {{}}

[[scenario]]
name = "both"
[[scenario.step]]
name = "session"
carry.token = {{ json = "/token" }}
http.path = "/session"
[[scenario.step]]
name = "put"
origin = "store"
http = {{ method = "PUT", path = "/notes/{{{{seq}}}}", body = "of {{{{carry.token}}}}" }}
[[scenario.step]]
name = "score"
http.path = "/score?token={{{{carry.token}}}}"
[[scenario.step]]
name = "get"
origin = "store"
http = {{ path = "/notes/{{{{seq}}}}", expect.body = [{{ contains = "of token-" }}, "etag"] }}
[[scenario.step]]
name = "remove"
origin = "store"
http = {{ method = "DELETE", path = "/notes/{{{{seq}}}}" }}

[[phase]]
name = "both"
scenarios = ["both"]
shape.closed = {{ connections = 2, requests = 40 }}
[[gate]]
phase = "both"
check = "failed_count == 0"
""")
    prony("run", suite, "-o", tmp_path / "out", env=moto.keys).ended(0)
    one, of = rows(Report(tmp_path / "out"), "both")
    assert (one["offered"], one["ok"]) == (40, 40) and len(of) == 6, one
    assert not any(key.startswith("notes/") for key in moto.objects())
    known = httpx.get(f"{service.url}/seen", trust_env=False).json()
    assert known["versions"]["2"] >= 80 and known["versions"]["1.1"] == 1, "the target was spoken to in HTTP/2 throughout"


def test_the_presets_own_store_and_service(backend, measure, monkeypatch):
    served = backend("runpod-fixed", time_scale=0.04)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "user_prony")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "rps_prony")

    def judge(done, found):
        done.ended(0)
        whole(found, ALONE, "store", 10)
        whole(found, WHOLE, "try-on with uploads", 30)
        one, of = rows(found, WHOLE)
        # 9.6 s at a scale of 0.04: the time is in the step that infers, and not in those of the store.
        infer = of["try-on with uploads/infer"]["service"]["mean_ns"]
        assert infer >= 350e6 and infer > 0.5 * of["try-on with uploads"]["service"]["mean_ns"], of
        with urllib.request.urlopen(f"{served.admin}/truth", timeout=10) as answer:
            assert b"SignatureDoesNotMatch" not in answer.read()

    measure(
        "run", SUITE, "--target", served.url, "--phase", ALONE, "--phase", WHOLE,
        *aimed(f"{served.beside['store']}/volume", "eu-ro-1"), judge=judge, attempts=3, timeout=120,
    )


def test_the_demo_brings_its_store_and_its_keys(prony, tmp_path):
    """From a clean clone, with one command, and with keys in the environment that are none of its business."""
    env = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "elses"}
    done = prony("run", SUITE, "--target", "demo:runpod-fixed", "--phase", ALONE, "-o", tmp_path / "out", env=env).ended(0)
    whole(Report(tmp_path / "out"), ALONE, "store", 10)
    assert done.code == 0
