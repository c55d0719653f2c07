"""The command line teaches: help, typos, completions, manual pages, plans, schemas."""

import json
import os
import re
import subprocess
import tomllib

import jsonschema
import pytest

from conftest import ROOT, binary

COMMANDS = ["check", "load", "run", "report", "judge", "serve", "schema", "completions", "man"]


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_has_examples(prony, command):
    done = prony(*filter(None, [command]), "--help")
    assert done.code == 0 and "Examples:" in done.out, done


@pytest.mark.parametrize(
    "args, nearest",
    [
        (["chekc", "demo"], "check"),
        (["check", "demo", "--quik"], "--quick"),
        (["load", "http://127.0.0.1:1/", "--conections", "4"], "--connections"),
        (["report", "x", "--format", "markdwn"], "markdown"),
        (["serve", "enso-fixd"], "enso-fixed"),
        (["check", "demo:enos"], "enso"),
        (["serve", "enso", "--port", "0", "--set", "serail=true"], "did you mean"),
    ],
)
def test_a_typo_is_answered_by_the_nearest(prony, args, nearest):
    done = prony(*args)
    assert done.code == 64, done
    assert nearest in done.err, done
    assert done.out == "", done


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions(prony, shell):
    done = prony("completions", shell)
    assert done.code == 0 and "max-rate" in done.out and "check" in done.out, done


def test_manual_pages(prony, tmp_path):
    done = prony("man", tmp_path / "man")
    assert done.code == 0, done
    pages = {page.name for page in (tmp_path / "man").iterdir()}
    assert {"prony.1"} | {f"prony-{command}.1" for command in COMMANDS} <= pages
    for page in (tmp_path / "man").iterdir():
        assert page.read_text().startswith(".ie") and ".SH" in page.read_text(), page


@pytest.mark.parametrize("kind", ["suite", "report", "events", "load", "judge"])
def test_schemas_are_schemas(prony, kind):
    done = prony("schema", kind)
    assert done.code == 0, done
    jsonschema.Draft202012Validator.check_schema(done.json())


def test_the_committed_schema_is_the_one_in_force(prony, schema):
    assert json.loads(prony("schema", "report").out) == schema


def test_a_plan_can_be_edited_and_run(prony, archive, report, tmp_path):
    target = archive("")
    plan = prony("check", target.url, "--quick", "--plan")
    assert plan.code == 0, plan
    suite = tomllib.loads(plan.out)
    assert suite["target"]["url"].startswith(target.url)
    assert suite["experiment"] and suite["endpoint"]
    path = tmp_path / "plan.toml"
    path.write_text(plan.out)
    assert prony("run", path, "--dry-run").code == 0
    # What a person would do: keep two questions of the battery.
    kept = {"coverage", "validation"} & suite["experiment"].keys()
    assert kept, suite["experiment"].keys()
    head, _, rest = plan.out.partition("\n[experiment")
    blocks = ("[experiment" + rest).split("\n[")
    blocks = [blocks[0]] + ["[" + block for block in blocks[1:]]
    dropped = [b for b in blocks if b.startswith("[experiment.") and b[12:].split("]")[0].split(".")[0] not in kept]
    path.write_text(head + "\n" + "\n".join(b for b in blocks if b not in dropped))
    done = prony("run", path, "-o", tmp_path / "out", timeout=120)
    done.ended(0, 2)
    assert {section["experiment"] for section in report(tmp_path / "out").data["sections"]} <= kept | {"suite"}


def test_load_ends_with_one_line_for_scripts(prony, backend):
    target = backend("enso-fixed")
    done = prony("load", f"{target.url}/health", "-c", 4, "-n", 400).ended(0)
    assert re.fullmatch(r"p50=\S+ p99=\S+ p99\.9=.+", done.last_line()), done


def test_load_as_json_follows_its_schema(prony, backend):
    target = backend("enso-fixed")
    done = prony("load", f"{target.url}/health", "-c", 2, "-n", 500, "--json").ended(0)
    jsonschema.validate(done.json(), json.loads(prony("schema", "load").out))


def test_load_sends_what_it_was_asked_to(prony, backend):
    target = backend("enso-fixed")
    body = '{"slide_id":"slide_000"}'
    good = prony("load", f"{target.url}/api/analyze", "-T", "application/json", "-b", body, "-c", 1, "-n", 5)
    good.ended(0)
    bad = prony("load", f"{target.url}/api/analyze", "-T", "application/json", "-b", "{", "-c", 1, "-n", 5)
    assert "4xx" in bad.ended(1).text, bad
    expected = prony(
        "load", f"{target.url}/api/analyze", "-T", "application/json", "-b", "{", "-c", 1, "-n", 5, "--expect-status", 422
    )
    expected.ended(0)


def test_quiet_prints_results_only(prony, backend):
    target = backend("enso-fixed")
    done = prony("load", f"{target.url}/health", "-c", 1, "-n", 50, "--quiet")
    assert done.err == "" and done.last_line().startswith("p50="), done


def into_a_closed_pipe(args, stream):
    """The exit code of the command, with that stream a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    other = "stderr" if stream == "stdout" else "stdout"
    try:
        return subprocess.run(
            [binary(), *map(str, args)], **{stream: writer, other: subprocess.DEVNULL}, stdin=subprocess.DEVNULL, timeout=60
        ).returncode
    finally:
        os.close(writer)


def test_a_verdict_is_told_to_who_does_not_read_it(tmp_path):
    claims = ROOT / "suites" / "results" / "enso.csv"
    told = subprocess.run([binary(), "judge", claims], capture_output=True, timeout=60)
    assert told.returncode == 1, told
    assert into_a_closed_pipe(["judge", claims], "stdout") == 1
    assert into_a_closed_pipe(["load", "null:", "-n", 10, "-c", 1, "-o", tmp_path / "out"], "stderr") in (0, 4)
    assert (tmp_path / "out" / "report.html").exists()
    assert into_a_closed_pipe(["check", "demo", "--only", "coverage", "-o", tmp_path / "check"], "stderr") in (0, 1, 2, 3, 4)
    assert (tmp_path / "check" / "report.html").exists()


def test_names_of_files_need_not_be_text(tmp_path):
    name = os.fsencode(tmp_path) + b"/r\xe9"
    done = subprocess.run([binary(), b"load", b"null:", b"-n", b"10", b"-c", b"1", b"-o", name], capture_output=True, timeout=60)
    assert done.returncode in (0, 4), done
    again = subprocess.run([binary(), b"report", name], capture_output=True, timeout=60)
    assert again.returncode == 0 and again.stdout, again
