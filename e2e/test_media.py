"""An MCP server is recognised, its tools are called, and what goes wrong with its files is found: on the preset `media`, on its
clean twin, and on a server by others."""

import json
import sys
import tomllib

import jsonschema
import pytest

from conftest import HERE, ROOT, Report, Running

pytestmark = pytest.mark.light

SUITE = ROOT / "suites" / "media.toml"
# Defect of the preset, and the finding that names it.
PLANTED = {
    "Z1 downloads pass one at a time": "serial-downloads",
    "Z2 a truncated download is a success": "incomplete-file",
    "Z3 a second writer overwrites the first": "silent-overwrite",
    "Z3 a partial file is visible": "partial-file-visible",
    "Z4 repetitions hide what failed": "hidden-retries",
}
ONLY = ("--only", "downloads")


def faults(found) -> set:
    return {f["id"] for f in found.faults()}


def listing(found) -> list:
    return sorted((f["verdict"], f["id"], f["endpoint"], f["title"]) for f in found.findings() if f["verdict"] != "pass")


def test_every_planted_fault_is_found(measure):
    def judge(done, found):
        assert set(PLANTED.values()) <= faults(found), listing(found)
        done.ended(1)

    measure("check", "demo:media", *ONLY, judge=judge, attempts=3, timeout=180)


def test_the_clean_twin_has_none(measure):
    def judge(done, found):
        assert not faults(found), listing(found)
        judged = {f["id"]: f["verdict"] for f in found.findings()}
        assert {judged[name] for name in PLANTED.values()} == {"pass"}, judged
        done.ended(0, 2)

    measure("check", "demo:media-fixed", *ONLY, judge=judge, attempts=3, timeout=180)


def test_tools_are_endpoints_whatever_way_the_server_speaks(prony, backend):
    """Events, plain JSON, and a server that insists on sessions."""
    for knob in ("answers=sse", "answers=json", "sessions=true"):
        target = backend("media-fixed", knob, "reference_px=64")
        done = prony("check", target.url, "--plan")
        assert done.code == 0, done
        suite = tomllib.loads(done.out)
        tools = {e["name"]: e for e in suite["endpoint"] if e["name"].startswith("tool ")}
        for name in ("list_videos", "download_video", "get_video_status", "prepare_reference_image"):
            assert f"tool {name}" in tools, (knob, sorted(tools))
        assert "tool delete_video" not in tools
        first = json.loads(tools["tool download_video"]["samples"][0]["request"]["body"]["text"])
        assert first["method"] == "tools/call" and first["params"]["arguments"]["video_id"].startswith("video_")
        headers = {h["name"] for h in tools["tool list_videos"]["samples"][0]["request"]["headers"]}
        assert ("mcp-session-id" in headers or "mcp-method" in headers) or knob != "sessions=true", headers


# ---- a server by others

ARCHIVE = {"queue": {"serial-downloads"}, "short": {"incomplete-file"}, "clobber": {"silent-overwrite", "partial-file-visible"}}


@pytest.mark.parametrize("planted", ["queue,short,clobber", ""])
def test_a_server_by_others(measure, server, planted):
    target = server(sys.executable, HERE / "independent" / "tools.py", env={"FAULTS": planted})
    wanted = set().union(*(ARCHIVE[fault] for fault in planted.split(",") if fault))

    def judge(done, found):
        ids = set().union(*ARCHIVE.values())
        assert faults(found) & ids == wanted, listing(found)
        assert any("export_film" in f["endpoint"] for f in found.findings() if f["id"] == "serial-downloads")
        done.ended(*((1,) if planted else (0, 2)))

    measure("check", target.url, *ONLY, judge=judge, attempts=3, timeout=120)


# ---- the suites


def test_the_suite_answers_every_claim_of_the_document(tmp_path, schema):
    done = Running(["run", SUITE, "-o", tmp_path / "out"], {}, tmp_path).wait(280).sane()
    done.ended(1)
    found, suite = Report(tmp_path / "out"), tomllib.loads(SUITE.read_text())
    jsonschema.validate(found.data, schema)
    phases = {phase["name"]: phase for phase in found.phases()}
    assert {phase["name"] for phase in suite["phase"]} <= set(phases)
    assert phases["T1 32 downloads of one video"]["offered"] == 32
    results = {entry["result"]["claim"]["id"]: entry["result"] for entry in found.data["claims"]}
    assert set(results) == {claim["id"] for claim in suite["claim"]}
    # What is wrong with the server is said against the claims that it contradicts.
    for claim in ("T1.3", "I2", "S1"):
        assert results[claim]["upheld"] != "yes", results[claim]
    pairs = [f for f in found.findings() if f["id"] == "speed-up"]
    assert len(pairs) == len(suite["experiment"]["downloads"]["pairs"]), listing(found)
    # The mixed operations are those of the benchmark, together and one at a time.
    for name in ("T5 mixed operations", "T5 control: 23 mixed operations one at a time"):
        rows = {row["scenario"]: row["n"] for row in phases[name]["rows"] if not row["part"]}
        assert rows == {"resize an image": 5, "download a thumbnail": 10, "an image out of base64": 8}, (name, rows)


def test_four_processes_are_started_together(tmp_path, schema):
    """The preset's own processes share the service behind a fifth, whose count says what clients did not see."""
    suite = ROOT / "suites" / "media-stdio.toml"
    done = Running(["run", suite, "-o", tmp_path / "out"], {}, tmp_path).wait(240).sane()
    done.ended(1)
    found, spec = Report(tmp_path / "out"), tomllib.loads(suite.read_text())
    jsonschema.validate(found.data, schema)
    phases = {phase["name"]: phase for phase in found.phases()}
    assert {phase["name"] for phase in spec["phase"]} <= set(phases)
    burst = phases["T1 four processes with eight downloads each"]
    calls = {}
    for row in burst["rows"]:
        if row["scenario"].endswith("/download"):
            calls[row["scenario"]] = calls.get(row["scenario"], 0) + row["n"]
    assert calls == {f"client {k}/download": 8 for k in range(1, 5)}, burst["rows"]
    assert {"silent-overwrite", "hidden-retries"} <= faults(found), listing(found)
    assert set(c["id"] for c in spec["claim"]) == {entry["result"]["claim"]["id"] for entry in found.data["claims"]}
    pairs = [f for f in found.findings() if f["id"] == "speed-up"]
    assert len(pairs) == 2, listing(found)
