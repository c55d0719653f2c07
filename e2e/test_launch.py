"""Prony starts the target itself: how it starts, stops and what outlives it is found on a stranger's service in each of its moods and
on the reference backend, and nothing of it is left afterwards, however Prony ends."""

import json
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from conftest import HERE, Report, Running

NOTES = HERE / "independent" / "notes.py"
WORK = "POST /v1/summarise"
COMMAND = f"{sys.executable} {NOTES} --port {{port}}"
ONLY = ["--quick", "--only", "startup,drain"]
# Moods of the stranger's service, and what else it is told.
MOODS = {
    "finishes": ({"LISTEN_AFTER_S": "0.3", "LOAD_S": "0.6", "NOTES_KEY": "hunter2"}, ["--header-env", "x-api-key=NOTES_KEY"]),
    "hypercorn": ({"SERVER": "hypercorn"}, []),
    "cuts": ({"ON_TERM": "cut"}, []),
    "ignores": ({"ON_TERM": "ignore"}, ["--stop-timeout", "1s"]),
    "eager": ({"EAGER": "1", "LOAD_AGAIN_S": "5"}, []),
}


def is_running(pid):
    """Whether there is such a process; one that nobody has reaped yet is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def gone(pid, patience_s=30):
    """Whether it goes; the patience is for a hung test."""
    deadline = time.monotonic() + patience_s
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


def told(path, patience_s=60):
    """What a file says once it says something."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if path.exists() and path.read_text().strip():
            return path.read_text().strip()
        time.sleep(0.02)
    raise AssertionError(f"{path} says nothing")


@pytest.fixture(scope="module")
def moods(tmp_path_factory):
    """All of them side by side: they mostly wait."""
    folder = tmp_path_factory.mktemp("launch")
    begun = {}
    for name, (env, flags) in MOODS.items():
        env = env | {"PIDFILE": str(folder / f"{name}.pid")}
        args = ["check", "http://127.0.0.1:0", "--command", COMMAND, *ONLY, *flags, "-o", folder / name]
        begun[name] = Running(args, env, folder)
    own = ["prony", "serve", "semantic-fixed", "--port", "{port}", "--set", "api_keys=none"]
    args = ["check", "http://127.0.0.1:0", "--command", " ".join(own), *ONLY, "-o", folder / "own"]
    begun["own"] = Running(args, {}, folder)
    return {name: (one.wait(180).sane(), Report(folder / name)) for name, one in begun.items()}


def finding(found, name):
    return next(f for f in found.findings() if f["id"] == name)


def figure(one, label):
    figures = (e["figure"] for e in one["evidence"] if "figure" in e)
    return next((f["value"] for f in figures if f["label"] == label), None)


def milliseconds(text):
    number, unit = text.split()
    return float(number) * {"ms": 1, "s": 1000}[unit]


@pytest.mark.parametrize("mood", ["finishes", "hypercorn", "own"])
def test_a_server_that_finishes_is_cleared(moods, mood):
    done, found = moods[mood]
    drain = finding(found, "drain")
    assert drain["verdict"] == "pass", drain
    assert figure(drain, "requests in flight at the signal") >= 3
    assert figure(drain, "of these, finished") == figure(drain, "requests in flight at the signal")
    assert finding(found, "stop-in-time")["verdict"] == "pass"
    assert finding(found, "ready-too-early")["verdict"] == "pass"
    grace = [s for s in found.data["advice"]["settings"] if s["key"] == "termination.grace_s"]
    assert grace and grace[0]["value"] >= 30, grace
    assert "terminationGracePeriodSeconds" in (found.folder / "kubernetes.yaml").read_text()


def test_the_course_of_a_start_is_in_order(moods):
    start = finding(moods["finishes"][1], "startup")
    table = next(e["table"] for e in start["evidence"] if "table" in e)
    whole = [dict(zip(table["columns"], row)) for row in table["rows"] if row[-1] != "-"]
    assert whole, table
    for row in whole:
        course = [milliseconds(row[what]) for what in ("Listens", "Alive", "Ready", "First good answer")]
        assert course == sorted(course), row
        assert row["Start-up probe"] == "-", "it has none"
    assert figure(start, "start to ready, slowest") > figure(start, "start to alive, slowest"), "it loads between"


def test_requests_that_are_cut_off_are_found(moods):
    done, found = moods["cuts"]
    done.ended(1)
    drain = finding(found, "drain")
    assert drain["verdict"] == "fail" and figure(drain, "of these, lost") >= 3, drain
    assert drain["endpoint"] == WORK


def test_one_that_does_not_stop_is_found_and_killed(moods):
    done, found = moods["ignores"]
    done.ended(1)
    stop = finding(found, "stop-in-time")
    assert stop["verdict"] == "fail" and figure(stop, "times that it had to be killed") == 1, stop
    assert not [s for s in found.data["advice"]["settings"] if s["key"] == "termination.grace_s"]


def test_one_that_says_ready_too_early_is_found(moods):
    early = finding(moods["eager"][1], "ready-too-early")
    assert early["verdict"] == "fail" and early["endpoint"] == WORK, early


def test_what_it_prints_is_kept_escaped_and_without_secrets(moods):
    found = moods["finishes"][1]
    log = (found.folder / "target.log").read_text()
    assert "\x1b" not in log and "\\u{1b}[33mloading the model" in log
    assert "hunter2" not in log and "the model is loaded, key ***" in log
    assert log.count("started anew") >= 2, "one log for all of its starts"


def test_nothing_is_left_of_any_of_them(moods):
    found = moods["ignores"][1]
    for name in MOODS:
        assert gone(told(found.folder.parent / f"{name}.pid")), name


def test_one_that_ends_at_once_is_explained(prony, tmp_path):
    (tmp_path / "broken.py").write_text("import sys\nprint('reading weights\\x1b[2J')\nsys.exit('no such file: weights.bin')\n")
    done = prony("check", "http://127.0.0.1:0", "--command", f"{sys.executable} broken.py", "-o", "out")
    assert done.code == 69, done
    assert "exit code 1" in done.err and "no such file: weights.bin" in done.err and "\x1b" not in done.err, done
    assert "next: run it by itself" in done.err
    missing = prony("check", "http://127.0.0.1:0", "--command", "no-such-program-here")
    assert missing.code == 64 and "no-such-program-here" in missing.err, missing


def test_one_that_never_listens_is_explained_and_ended(prony, tmp_path):
    env = {"LISTEN_AFTER_S": "600"}
    done = prony("check", "http://127.0.0.1:0", "--command", COMMAND, "--start-timeout", "1s", env=env)
    assert done.code == 69 and "was not ready" in done.err and "nobody listens" in done.err, done
    assert gone(re.search(r"\(process (\d+)\)", done.err)[1])


def test_what_listens_already_is_not_taken_for_it(prony, archive):
    server = archive("")
    done = prony("check", server.url, "--command", COMMAND)
    assert done.code == 64 and "listens" in done.err and "{port}" in done.err, done
    done = prony("check", "http://192.0.2.1:80", "--command", COMMAND)
    assert done.code == 64, done


@pytest.mark.parametrize(
    ("how", "is_up"),
    [(signal.SIGINT, False), (signal.SIGINT, True), (signal.SIGKILL, True)],
    ids=["interrupted at the start", "interrupted", "killed"],
)
def test_it_ends_with_prony(start, tmp_path, how, is_up):
    pidfile = tmp_path / "pid"
    env = {"PIDFILE": str(pidfile), "LISTEN_AFTER_S": "0" if is_up else "600", "ON_TERM": "ignore"}
    running = start("check", "http://127.0.0.1:0", "--command", COMMAND, "-o", "out", env=env)
    pid = told(pidfile)
    if is_up:
        told(tmp_path / "out" / "events.ndjson")
    running.signal(how)
    done = running.wait(60)
    assert done.code == (130 if how == signal.SIGINT else -signal.SIGKILL), done
    assert gone(pid)


SUITE = """
name = "restart"
[target]
url = "http://127.0.0.1:0"
command = [{python}, {notes}, "--port", "{{port}}"]
launch.env = {{ STORE = {store} }}
launch.env_from = {{ NOTES_KEY = "KEY_OF_MINE" }}
launch.ready = "/readyz"
launch.stop_signal = "TERM"

[[experiment.persistence.state]]
name = "count of notes"
make = {{ method = "POST", path = "/v1/summarise", json = {{ text = "one two three four" }} }}
times = 3
ask = {{ path = "/v1/stats" }}
pointer = "/notes"
{expect}
"""


def test_state_over_a_restart(start, prony, report, tmp_path):
    begun = {}
    for keeps in (True, False):
        suite = tmp_path / f"restart-{keeps}.toml"
        store = str(tmp_path / "count") if keeps else ""
        words = {"python": sys.executable, "notes": str(NOTES), "store": store}
        suite.write_text(SUITE.format(**{k: json.dumps(v) for k, v in words.items()}, expect='expect = "persists"'))
        begun[keeps] = start("run", suite, "-o", tmp_path / str(keeps), env={"KEY_OF_MINE": "hunter2"})
    for keeps, running in begun.items():
        done = running.wait(120).sane().ended(0 if keeps else 1)
        one = finding(report(tmp_path / str(keeps)), "persistence")
        assert one["verdict"] == ("pass" if keeps else "fail"), one
        assert ("persists" if keeps else "is lost") in one["title"]
        assert "hunter2" not in done.text + (tmp_path / str(keeps) / "target.log").read_text()
    unset = prony("run", suite, "-o", "unset")
    assert unset.code == 64 and "KEY_OF_MINE" in unset.err, unset


def test_the_prefix_cache_of_the_backend_survives_where_it_is_kept(start, report, tmp_path):
    prompt = "the quick brown fox jumps over the lazy dog and comes back again " * 20
    state = {
        "name": "prefix cache",
        "pointer": "/usage/cache_read_input_tokens",
        "ask": {"method": "POST", "path": "/v1/messages", "json": None},
    }
    body = {"model": "gemma-3-12b-it", "max_tokens": 2, "messages": [{"role": "user", "content": prompt}]}
    state["ask"]["json"] = body
    begun = {}
    for word, knobs in (("persists", ["--set", f"cache_dir={tmp_path / 'kv'}"]), ("is lost", [])):
        suite = {
            "target": {
                "url": "http://127.0.0.1:0",
                "command": ["prony", "serve", "semantic-fixed", "--port", "{port}", "--set", "api_keys=none", *knobs],
            },
            "run": {"seed": 1},
        }
        path = tmp_path / f"{word}.toml"
        path.write_text(toml(suite) + f"[[experiment.persistence.state]]\n{inline(state)}")
        begun[word] = start("run", path, "-o", tmp_path / word)
    for word, running in begun.items():
        running.wait(120).sane().ended(0)
        assert word in finding(report(tmp_path / word), "persistence")["title"]


def toml(tables):
    return "".join(f"[{name}]\n{inline(table)}" for name, table in tables.items())


def inline(table):
    return "".join(f"{key} = {value_of(value)}\n" for key, value in table.items())


def value_of(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {value_of(v)}" for k, v in value.items()) + " }"
    return "[" + ", ".join(map(value_of, value)) + "]" if isinstance(value, list) else json.dumps(value)


def test_experiments_on_a_process_say_what_they_need(prony, report, tmp_path, archive):
    server = archive("")
    done = prony("check", server.url, "--quick", "--only", "drain", "-o", "out").ended(0, 2)
    assert "was not asked" in report(tmp_path / "out").markdown, done
    assert is_running(server.child.pid), "a target of others is left alone"
