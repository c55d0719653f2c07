"""The clean presets, held against their own documents by schemathesis: whatever it sends, no answer may be a 5xx or
one that the document does not declare."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

NO_5XX = "not_a_server_error"
# Every answer is one that the document declares: its status, its type, its headers and its body.
DECLARED = f"{NO_5XX},status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method"
# A preset, with what it is held to and knobs that make its imitated times short.
PRESETS = {
    "enso-fixed": (DECLARED, "device_ms=0", "storage_ms=0", "slide_px=256"),
    "truth-fixed": (DECLARED, "mean_ms=0"),
    "vision-fixed": (f"{DECLARED},negative_data_rejection", "load_scale=0", "service_scale=0"),
    # An answer of many tokens may end in the 504 that the document declares: there the computation is made short.
    "semantic-fixed": (
        NO_5XX, "api_keys=none", "limit_agent=0", "limit_global=0", "prefill_us=0", "decode_base_us=0", "decode_seq_us=0",
        "generate_timeout_ms=3600000",
    ),
    "runpod-fixed": (NO_5XX,),
    "media-fixed": (NO_5XX,),
}
EXAMPLES = 3
HUNG_S = 400


@pytest.mark.parametrize("preset", PRESETS)
def test_answers_are_as_declared_and_never_a_server_error(backend, tmp_path, preset):
    checks, *knobs = PRESETS[preset]
    server = backend(preset, *knobs, time_scale="1/1000")
    command = [
        Path(sys.executable).parent / "schemathesis", "run", f"{server.url}/openapi.json", "--no-color",
        "--phases", "examples,coverage,fuzzing", "--checks", checks,
        "--seed", "1", "--generation-deterministic", "--max-examples", str(EXAMPLES),
        "--request-timeout", "30", "--workers", "1",
    ]
    done = subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, timeout=HUNG_S)
    # What it found stands at the end; the bodies that it sent may be long.
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"[1-9][\d,]* generated", done.stdout), done.stdout[-2000:]
    # The account saw every answer, those included that the tool did not judge.
    answers = [
        (endpoint, int(status), count)
        for endpoint, page in httpx.get(f"{server.admin}/truth", trust_env=False).json()["endpoints"].items()
        for status, count in page["statuses"].items()
    ]
    assert sum(count for _, _, count in answers) > 100
    assert not [answer for answer in answers if answer[1] >= 500]
