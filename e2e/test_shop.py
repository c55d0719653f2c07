"""The load generator against a shop by someone else: it starts the shop, fills in requests, follows redirects, keeps cookies, and the
shop's own log says what really came."""

import json
import sys
import urllib.parse
import urllib.request
from collections import Counter

import pytest

from conftest import HERE
from test_launch import gone, told
from test_secrets import SECRET, leaks

SHOP = HERE / "independent" / "shop.py"
COMMAND = f"{sys.executable} {SHOP} --port {{port}}"


@pytest.fixture
def shop(server):
    return lambda *args: server(sys.executable, SHOP, *args)


def log(target, place=""):
    with urllib.request.urlopen(f"{target.url}/log", timeout=10) as answer:
        return [entry for entry in json.load(answer) if entry["path"].startswith(place)]


def test_load_starts_the_target_and_ends_it(prony, tmp_path):
    pidfile, out = tmp_path / "pid", tmp_path / "out"
    command = f"{COMMAND} --pidfile {pidfile}"
    done = prony("load", "http://127.0.0.1:0/item/1", "--command", command, "-n", 30, "-c", 3, "-o", out, "--json")
    done.ended(0)
    assert done.json()["requests"]["ok"] == 30
    assert gone(int(told(pidfile)))
    port = done.json()["target"].split(":")[2].split("/")[0]
    assert port != "0" and f"ready http://127.0.0.1:{port}" in (out / "target.log").read_text()
    assert "Prony started the target itself" in (out / "report.md").read_text()


def test_compare_starts_both(prony, tmp_path):
    pids = [tmp_path / "a.pid", tmp_path / "b.pid"]
    a, b = (f"{COMMAND} --pidfile {pid}" for pid in pids)
    url, out = "http://127.0.0.1:0/item/1", tmp_path / "out"
    quick = ["--pairs", 2, "-d", "300ms", "-c", 2]
    done = prony("compare", url, url, "--command", a, "--command-b", b, *quick, "-o", out)
    assert done.code != 64 and done.code != 69, done
    assert all(gone(int(told(pid))) for pid in pids)
    ports = {(out / name).read_text().split("ready http://127.0.0.1:")[1].split()[0] for name in ("target.log", "target-b.log")}
    assert len(ports) == 2
    assert (out / "report.md").read_text().count("Prony started") == 2

    itself = prony("compare", url, "--aa", "--command", a, *quick, "-o", tmp_path / "aa")
    assert itself.code != 64 and itself.code != 69, itself
    assert not (tmp_path / "aa" / "target-b.log").exists()


def test_a_command_that_cannot_be_is_explained(prony, closed_port):
    for args, says in [
        (["load", "null:", "--command", "x"], "brings its own server"),
        (["load", "http://127.0.0.1:1/", "--ready", "/health"], "but not what to start"),
        (["load", "http://192.0.2.1/", "--allow-host", "192.0.2.1", "--command", "x"], "not on its loopback"),
        (["compare", "http://127.0.0.1:1/", "http://127.0.0.1:2/", "--cwd", "x"], "but not what to start"),
    ]:
        done = prony(*args)
        assert done.code == 64 and says in done.err and "next:" in done.err, done


def test_requests_are_filled_in_from_a_file(prony, shop, tmp_path):
    target = shop()
    data = tmp_path / "users.csv"
    rows = [(f"u{n} é&", f"key-{n:08}") for n in range(40)]
    data.write_text("name,key\n" + "".join(f"{name},{key}\n" for name, key in rows))
    url = f"{target.url}/item/{{{{seq}}}}?user={{{{data.name}}}}"
    key = "Authorization: Bearer {{data.key}}"
    once = ["--data", data, "--data-order", "once", "-c", 4, "-n", 1000]
    done = prony("load", url, *once, "-H", key, "-H", "x-id: {{random.uuid}}", "--json", "-o", tmp_path / "out")
    done.ended(0)
    # The rows are used up before the requests are.
    assert done.json()["requests"]["ok"] == len(rows)
    seen = log(target, "/item/")
    names = [urllib.parse.parse_qs(urllib.parse.urlsplit(entry["path"]).query)["user"][0] for entry in seen]
    assert sorted(zip(names, (entry["headers"]["authorization"] for entry in seen))) == sorted(
        (name, f"Bearer {key}") for name, key in rows
    )
    assert sorted(int(entry["path"].split("?")[0].split("/")[2]) for entry in seen) == list(range(40))
    assert len({entry["headers"]["x-id"] for entry in seen}) == 40
    # The template is recorded, and no value that went into a header.
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file() and b"key-0000" in p.read_bytes()]


def test_bodies_are_filled_in_by_their_type_in_both_of_a_comparison(prony, shop, tmp_path):
    targets = [shop(), shop()]
    data = tmp_path / "texts.ndjson"
    data.write_text("".join(json.dumps({"text": f'say "{n}" \\ é'}) + "\n" for n in range(3)))
    urls = [f"{target.url}/orders" for target in targets]
    body = ["-b", '{"text": "{{data.text}}", "n": {{random.int(1,9)}}}', "-T", "application/json", "--data", data]
    prony("compare", *urls, *body, "--pairs", 2, "-d", "300ms", "-c", 2, "-o", tmp_path / "out").sane()
    for target in targets:
        orders = [json.loads(entry["body"]) for entry in log(target, "/orders")]
        assert {order["text"] for order in orders} == {f'say "{n}" \\ é' for n in range(3)}
        assert {order["n"] for order in orders} <= set(range(1, 10)) and orders


def test_a_placeholder_that_stands_for_nothing_is_told_with_those_that_do(prony, tmp_path):
    (tmp_path / "users.csv").write_text("id,name\n1,a\n")
    url = "http://127.0.0.1:1"
    for args, says in [
        ([f"{url}/{{{{sequence}}}}"], ["`{{sequence}}`", "known: seq, user, random.int(1,100)", "--data FILE"]),
        ([f"{url}/{{{{data.nam}}}}", "--data", "users.csv"], ["no column `nam`", "it has: id, name", "{{data.name}}"]),
        ([f"{url}/{{{{name}}}}", "--data", "users.csv"], ["`{{name}}`", "{{data.name}}"]),
        (["http://{{data.host}}/", "--data", "users.csv"], ["host or port"]),
    ]:
        done = prony("load", *args)
        assert done.code == 64 and all(word in done.err for word in says), done


def test_redirects_of_filled_in_requests_are_followed_home(prony, shop):
    target = shop()
    url, order = target.url + "/old/{{seq}}", ["-b", '{"n": {{seq}}}', "-T", "application/json"]
    load = ["-n", 20, "-c", 2, "--redirects", 3, "--json"]
    prony("load", url, *load).ended(0)
    assert {entry["path"] for entry in log(target, "/item/")} == {f"/item/{n}" for n in range(20)}
    prony("load", target.url + "/order/{{seq}}", *order, *load).ended(0)
    assert sorted(json.loads(entry["body"])["n"] for entry in log(target, "/orders")) == list(range(20))


def test_another_server_gets_a_redirect_without_credentials_and_a_stranger_none(prony, shop):
    cdn, stranger = shop(), shop()
    target = shop("--cdn", cdn.url)
    secret = ["--cookie", f"sid={SECRET}", "-H", f"Authorization: Bearer {SECRET}"]
    load = ["-n", 5, "-c", 1, "--redirects", 2, *secret, "--json"]
    done = prony("load", target.url + "/picture/{{seq}}", *load, "--redirect-to", cdn.url)
    done.ended(0)
    assert {entry["headers"].get("cookie") for entry in log(target, "/picture/")} == {f"sid={SECRET}"}
    seen = log(cdn, "/item/")
    assert len(seen) == 5 and not leaks(done)
    assert all(not {"cookie", "authorization"} & set(entry["headers"]) for entry in seen)
    refused = prony("load", f"{target.url}/picture/1?at={stranger.url}", *load, "--redirect-to", cdn.url)
    refused.ended(1)
    assert refused.json()["outcomes"][0]["outcome"] == "status-3xx" and not log(stranger)
    far = prony("load", target.url + "/picture/1", *load, "--redirect-to", "http://192.0.2.7")
    assert far.code == 64 and "--allow-host 192.0.2.7" in far.err, far


def test_cookies_given_are_sent_and_not_shown(prony, shop, tmp_path):
    target = shop()
    out = tmp_path / "out"
    cookies = ["--cookie", f"a={SECRET}", f"--cookie=b={SECRET}", "-H", f"Cookie: c={SECRET}"]
    done = prony("load", f"{target.url}/item/1", *cookies, "-n", 4, "-c", 1, "-o", out, "--json")
    done.ended(0)
    sent = {entry["headers"]["cookie"] for entry in log(target, "/item/")}
    assert sent == {f"c={SECRET}; a={SECRET}; b={SECRET}"}
    assert not leaks(done, out) and "a=***" in json.loads((out / "report.json").read_text())["run"]["command"]
    for wrong in (SECRET, f"a b={SECRET}", f"a={SECRET} x", f"a={SECRET};b=1"):
        refused = prony("load", f"{target.url}/item/1", "--cookie", wrong)
        assert refused.code == 64, refused


SUITE = """
[target]
url = "{url}"
[run.limits]
redirects_max = 3

[[scenario]]
name = "visit"
cookies = true

[[scenario.step]]
name = "login"
http = {{ method = "POST", path = "/login", body = "user-{{{{seq}}}}" }}

[[scenario.step]]
name = "account"
http = {{ path = "/account", expect.body = [{{ contains = "hello" }}] }}

[[phase]]
name = "visits"
scenarios = ["visit"]
shape.closed = {{ connections = 3, requests = 12 }}
capture = {{ responses_max = 50, body_bytes_max = 1000 }}

[[gate]]
phase = "visits"
check = "failed_count == 0"
"""


def test_sessions_of_a_flow_are_kept_and_never_recorded(prony, shop, tmp_path):
    target = shop()
    (tmp_path / "suite.toml").write_text(SUITE.format(url=target.url))
    done = prony("run", "suite.toml", "-o", tmp_path / "out", "--json")
    done.ended(0)
    visits = log(target, "/account")
    # Each arrival logs in, is led to its account, and goes there again with the same session.
    sessions = Counter(entry["headers"]["cookie"] for entry in visits)
    assert len(sessions) == 12 and set(sessions.values()) == {2}, sessions
    recorded = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    texts = [p.read_bytes() for p in recorded] + [done.text.encode()]
    assert any(b"your session is ***" in text for text in texts)
    for session in sessions:
        token = session.split("=")[1].encode()
        assert not any(token in text for text in texts)


def test_a_policy_for_the_whole_suite(prony, shop, tmp_path):
    target = shop()
    scenario = '[[scenario]]\nname = "{name}"\nhttp.path = "/flaky/{name}-{{{{seq}}}}"\n{own}\n'
    phase = '[[phase]]\nname = "{name}"\nscenarios = ["{name}"]\nshape.closed = {{ connections = 2, requests = 10 }}\n'
    text = f'[target]\nurl = "{target.url}"\n[retry]\nattempts = 3\nbase_ms = 1\n'
    for name, own in [("default", ""), ("without", "retry.attempts = 1")]:
        text += scenario.format(name=name, own=own)
    for name in ("default", "without"):
        text += phase.format(name=name)
    (tmp_path / "suite.toml").write_text(text)
    done = prony("run", "suite.toml", "-o", tmp_path / "out", "--json")
    phases = {p["summary"]["name"]: p["summary"] for s in done.json()["sections"] for p in s["phases"]}
    kept, lost = phases["default"], phases["without"]
    assert (kept["ok"], kept["attempts"], kept["retried"]) == (10, 20, 10)
    assert (lost["ok"], lost["failed"], lost["attempts"]) == (0, 10, 10)
    assert Counter(entry["path"] for entry in log(target, "/flaky/default")).most_common(1)[0][1] == 2
    assert "20 requests were sent, 10 of them failed and were sent again: 2" in (tmp_path / "out" / "report.md").read_text()


def test_secrets_in_a_query_are_sent_and_not_shown(prony, shop, tmp_path):
    target = shop()
    out = tmp_path / "out"
    url = f"{target.url}/item/1?user=a&code={SECRET}"
    done = prony("load", url, "--query-env", "api_key=KEY", "-n", 4, "-c", 1, "-o", out, "--json", env={"KEY": f"{SECRET}/+"})
    done.ended(0)
    sent = {entry["path"] for entry in log(target, "/item/")}
    assert [urllib.parse.parse_qs(urllib.parse.urlsplit(path).query) for path in sent] == [
        {"user": ["a"], "api_key": [f"{SECRET}/+"], "code": [SECRET]}
    ]
    assert "`code`" in done.err and not leaks(done, out)
    assert done.json()["target"] == f"{target.url}/item/1?user=a"
    absent = prony("load", url, "--query-env", "api_key=NO_SUCH_VARIABLE")
    assert absent.code == 64 and "NO_SUCH_VARIABLE" in absent.err, absent


def test_a_check_of_a_url_with_a_secret_in_it_records_none(prony, shop, tmp_path):
    target = shop()
    out = tmp_path / "out"
    url = f"{target.url}/item/1?user=a&code={SECRET}"
    done = prony("check", url, "--only", "coverage", "--quick", "-o", out)
    done.sane()
    assert "the target has no endpoint" not in done.err and not leaks(done, out), done
    visits = log(target, "/item/")
    assert visits and all(f"code={SECRET}" in entry["path"] for entry in visits)


def test_a_suite_with_a_secret_in_it_is_refused(prony, tmp_path):
    suite = tmp_path / "suite.toml"
    header = f'[{{ name = "authorization", value = "Bearer {SECRET}" }}]'
    body = '[[scenario]]\nname = "s"\nhttp.path = "/"\n[[phase]]\nname = "p"\nscenarios = ["s"]\nshape.once = {}\n'
    for text in (
        f'name = "x"\n[target]\nurl = "http://127.0.0.1:1"\nheaders = {header}\n{body}',
        f'name = "x"\n[target]\nurl = "http://127.0.0.1:1"\n{body.replace(chr(10) + "[[phase", chr(10) + "http.headers = " + header + chr(10) + "[[phase")}',
    ):
        suite.write_text(text)
        done = prony("run", suite)
        assert done.code == 64 and "would be recorded" in done.err and "bearer_env" in done.err, done
