"""A partial result beats none: kill -9, Ctrl-C, a target that dies."""

import json
import os
import signal
import time
from pathlib import Path

import jsonschema
import pytest

from conftest import phases


def recorded(folder) -> int:
    """Completions that the recording's own progress events speak of."""
    events = Path(folder) / "events.ndjson"
    done = 0
    for line in events.read_text().splitlines() if events.exists() else []:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            break  # the line that was being written
        done = max(done, event.get("progressed", {}).get("done", 0))
    return done


def until(condition, timeout=40):
    """Waits for something that the binary will do sooner or later."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


def requests_in(data) -> int:
    return sum(phase["ok"] + phase["failed"] for phase in phases(data))


@pytest.fixture
def midway(start, backend, tmp_path):
    """A load of a minute, some seconds in, with its folder."""
    folder = tmp_path / "out"
    target = backend("enso-fixed")
    run = start("load", f"{target.url}/health", "--rate", 200, "-d", "60s", "-o", folder)
    until(lambda: recorded(folder) >= 300)
    return run, folder, target


def test_kill_9_leaves_a_run_that_can_be_rendered(midway, prony, schema):
    run, folder, _ = midway
    run.signal(signal.SIGKILL)
    assert run.wait(10).code == -signal.SIGKILL
    data = prony("report", folder, "--format", "json").json()
    jsonschema.validate(data, schema)
    # Whatever the progress lines spoke of two seconds ago is in the samples.
    assert requests_in(data) >= 100
    assert phases(data)[0]["partial"] is True
    assert data["run"]["end"] == "killed"
    markdown = prony("report", folder, "--format", "markdown").out
    assert "/health" in markdown and "did not finish" in markdown.lower() or "killed" in markdown.lower(), markdown
    assert prony("report", folder).out


def test_a_torn_recording_can_still_be_rendered(midway, prony):
    run, folder, _ = midway
    run.signal(signal.SIGKILL)
    run.wait(10)
    whole = requests_in(prony("report", folder, "--format", "json").json())
    for name, cut in (("samples.seg", 7), ("events.ndjson", 11)):
        path = folder / name
        os.truncate(path, path.stat().st_size - cut)
    torn = requests_in(prony("report", folder, "--format", "json").json())
    assert 0 < torn <= whole
    # A flipped bit in the middle spoils its chunk, not the run.
    path = folder / "samples.seg"
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4] ^= 0x40
    path.write_bytes(data)
    assert 0 < requests_in(prony("report", folder, "--format", "json").json()) <= torn


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_writes_the_report(midway, report, number):
    run, folder, _ = midway
    run.signal(number)
    done = run.wait(20).sane()
    assert done.code == 130, done
    found = report(folder)
    assert requests_in(found.data) >= 300
    assert "stopped before its end" in found.markdown
    assert found.data["run"]["end"] == "interrupted"


def test_ctrl_c_during_a_check(start, report, tmp_path):
    folder = tmp_path / "out"
    run = start("check", "demo", "-o", folder)
    until(lambda: recorded(folder) >= 20)
    run.signal(signal.SIGINT)
    done = run.wait(30).sane()
    assert done.code == 130, done
    assert "stopped before its end" in report(folder).markdown
    assert requests_in(report(folder).data) >= 20


def children(pid) -> list:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()]


def gone(pid) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_kill_9_during_a_check_leaves_no_demo_behind(start, prony, tmp_path):
    folder = tmp_path / "out"
    run = start("check", "demo", "-o", folder)
    until(lambda: recorded(folder) >= 20)
    demo = children(run.pid)
    assert demo, "the demo backend is a process of its own"
    run.signal(signal.SIGKILL)
    run.wait(10)
    until(lambda: all(map(gone, demo)), 10)
    assert requests_in(prony("report", folder, "--format", "json").json()) > 0


def test_a_target_that_dies_is_data(midway, report):
    run, folder, target = midway
    target.child.kill()
    time.sleep(1)
    run.signal(signal.SIGINT)
    done = run.wait(20).sane()
    assert done.code == 130, done
    outcomes = {row["outcome"] for phase in report(folder).phases() for row in phase["rows"]}
    assert "ok" in outcomes and outcomes & {"refused", "reset"}, outcomes


def test_a_folder_with_no_run_is_explained(prony, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "absent", tmp_path / "empty"):
        done = prony("report", folder)
        assert done.code == 64 and folder.name in done.err, done
