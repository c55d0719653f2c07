"""The media suite against a server by others: FastMCP around tools of our own, over streamable HTTP and over standard input and
output. The suites are run as they stand, with flags only."""

import re
import tomllib

from conftest import HERE, ROOT, Report, Running
from test_engines import ENGINES, free_port, stranger  # noqa: F401

SUITE = ROOT / "suites" / "media.toml"
STDIO = ROOT / "suites" / "media-stdio.toml"
SERVER = HERE / "engines" / "fastmcp_media.py"
# FastMCP says in the result what the specification has an error of the protocol for: refused, and told, all the same.
UNKNOWN_TOOL = 'scenario.a tool that is not there.http.expect.body=[{ contains = "Unknown tool" }]'


# The steps that write a video or a thumbnail.
DOWNLOADS = {
    f"{scenario}/download"
    for scenario in ("download a video", "download under the names of four clients", "download a thumbnail", "a video from prompt to file")
}


def test_the_media_suite_runs_unchanged(stranger, tmp_path):  # noqa: F811
    port, folder, spec = free_port(), tmp_path / "media", tomllib.loads(SUITE.read_text())
    server = stranger("/mcp", [ENGINES / "python", SERVER, port, folder], port)
    done = Running(["run", SUITE, "--target", server.url, "--set", UNKNOWN_TOOL, "-o", tmp_path / "out"], {}, tmp_path)
    done.wait(240).sane().ended(0, 2)
    found = Report(tmp_path / "out")
    assert not found.findings("fail"), found.findings("fail")
    phases = {phase["name"]: phase for phase in found.phases()}
    for phase in spec["phase"]:
        ended = phases[phase["name"]]
        assert ended["failed"] == 0 and ended["ok"] == ended["offered"], ended
    assert phases["T1 32 downloads of one video"]["offered"] == 32
    # Every success is a file, and no file is a success twice: names that are taken get a number.
    good = [row for phase in found.phases() for row in phase["rows"] if row["outcome"] == "ok"]
    successes = sum(row["n"] for row in good if row["scenario"] in DOWNLOADS | {"tool download_video"})
    assert successes == len(list((folder / "videos").iterdir())), good
    # Side by side and whole, unlike the embedded server as it was observed.
    passed = {f["id"] for f in found.findings("pass")}
    assert {"serial-downloads", "incomplete-file", "silent-overwrite", "partial-file-visible"} <= passed, found.findings()


def test_four_processes_over_standard_input_and_output(prony, tmp_path):
    command = f"stdio:{ENGINES / 'python'} {SERVER} stdio {tmp_path / 'media'}"
    prony("run", STDIO, "--target", command, "-o", tmp_path / "out", timeout=240).ended(0, 2)
    found = Report(tmp_path / "out")
    burst = next(p for p in found.phases() if p["name"] == "T1 four processes with eight downloads each")
    calls = {row["scenario"]: row["n"] for row in burst["rows"] if row["scenario"].endswith("/download")}
    assert calls == {f"client {k}/download": 8 for k in range(1, 5)}, calls
    # The servers' own view: each client's files are in the folder of one process, and no other client's are there.
    folders = list((tmp_path / "media").iterdir())
    names = [{re.match(r"client_(\d)", file.name)[1] for file in (f / "videos").glob("client_*")} for f in folders]
    assert sorted(map(sorted, names)) == [["1"], ["2"], ["3"], ["4"]], names
    # Eight in the control and eight at once; the first client has another eight and eight.
    counts = sorted(len(list((f / "videos").glob("client_*"))) for f in folders)
    assert counts == [16, 16, 16, 32], counts
    assert "4 processes" in found.markdown
