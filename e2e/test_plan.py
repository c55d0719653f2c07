"""The plan says before the start what will be asked and how long it takes, and the run keeps to it."""

import json
import re

import pytest

from conftest import binary

pytestmark = pytest.mark.alone


def planned(done):
    """Experiments of the printed plan, and its seconds."""
    head = re.search(r"^plan +\d+ experiments?, (about )?(?:(\d+) min ?)?(?:(\d+) s)?, seed", done.err + done.out, re.M)
    assert head, done
    about, minutes, seconds = head.groups()
    names = re.findall(r"^       ([a-z-]+) +\S.*\?", (done.err + done.out)[head.end() :], re.M)
    return names, 60 * int(minutes or 0) + int(seconds or 0), bool(about)


def spent(folder):
    """Seconds from the first phase of a recording to its end, by its own stamps; the same without phases that this machine
    disturbed so that they were measured once more."""
    events = [json.loads(line) for line in (folder / "events.ndjson").read_text().splitlines()]
    started = next(e["phase-started"]["at"] for e in events if "phase-started" in e)
    finished = next(e["run-finished"]["at"] for e in events if "run-finished" in e)
    phases = [e["phase-finished"] for e in events if "phase-finished" in e]
    again = [p for p, q in zip(phases, phases[1:]) if (p["experiment"], p["name"]) == (q["experiment"], q["name"])]
    took = finished - started
    return took / 1e9, (took - sum(p["ended"] - p["started"] for p in again)) / 1e9


def keeps_to_its_plan(done, found):
    _, plan, about = planned(done)
    took, undisturbed = spent(found.folder)
    assert not about and 0.9 * plan <= took and undisturbed <= 1.1 * plan, (took, undisturbed, plan)


def test_the_run_takes_as_long_as_the_plan_said(measure):
    measure("check", "demo:enso-fixed", "--quick", judge=keeps_to_its_plan, attempts=3, timeout=180)


def test_a_slow_target_makes_the_plan_longer_and_the_run_keeps_to_that(measure, server):
    target = server(binary(), "serve", "truth", "--port", 0, "--set", "service=det", "--set", "mean_ms=400", "--set", "servers=4")

    def judge(done, found):
        _, first, _ = planned(done)
        anew = re.search(r"^plan +(?:(\d+) min ?)?(?:(\d+) s)? for the experiments, since an answer takes up to 0.4 s", done.err, re.M)
        assert anew, done
        plan = 60 * int(anew[1] or 0) + int(anew[2] or 0)
        took, undisturbed = spent(found.folder)
        assert first < plan and 0.9 * plan <= took and undisturbed <= 1.1 * plan, (first, took, undisturbed, plan)

    measure("check", target.url, "--quick", judge=judge, attempts=3, timeout=180)


def test_a_time_that_is_asked_for_is_kept(measure):
    measure("check", "demo:enso-fixed", "--quick", "-d", "25s", judge=keeps_to_its_plan, attempts=3, timeout=180)


def test_one_question_alone_brings_what_it_needs(measure):
    def judge(done, found):
        names, _, _ = planned(done)
        assert names == ["coverage", "diversity", "identity"], done
        asked = {f["experiment"] for f in found.findings()}
        assert "identity" in asked and "ladder" not in asked, asked

    measure("check", "demo", "--quick", "--only", "identity", judge=judge, attempts=3, timeout=120)


def test_a_name_that_is_wrong_is_explained(prony):
    done = prony("check", "demo", "--only", "identty")
    assert done.code == 64 and "identity" in done.err, done
