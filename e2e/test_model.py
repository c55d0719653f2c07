"""`prony model`: small models of known behaviour in the real onnxruntime, whose library is that of the wheel."""

import importlib.util
import json
import os
import signal
import sys
import time
from pathlib import Path

import jsonschema
import pytest

import onnx_models

CAPI = Path(importlib.util.find_spec("onnxruntime").origin).parent / "capi"
# Seconds that a quick run may take where the machine is busy.
LONGEST_S = 240


@pytest.fixture
def model(tmp_path, report, prony):
    """Runs `prony model FILE --quick` on a model of `onnx_models`, and returns how it ended and its report."""

    def model(make, *args, env=None):
        file = make(tmp_path / f"{make.__name__}.onnx")
        folder = tmp_path / f"run-{len(list(tmp_path.glob('run-*')))}"
        done = prony("model", file, "--quick", "-o", folder, "--onnxruntime", CAPI, *args, timeout=LONGEST_S, env=env)
        return done, report(folder)

    return model


def finding(found, name):
    """The one finding of that name."""
    entries = [f for f in found.findings() if f["id"] == name]
    assert len(entries) == 1, found.markdown
    return entries[0]


def figure(entry, label):
    figures = [e["figure"] for e in entry["evidence"] if "figure" in e]
    return next(f for f in figures if f["label"] == label)


@pytest.mark.alone
def test_a_sound_model_is_measured(model, prony, schema):
    done, found = model(onnx_models.sound)
    done.ended(0, 2, 3)
    jsonschema.validate(found.data, schema)
    for name in ("outputs-finite", "outputs-deterministic", "outputs-vary", "outputs-as-declared", "start", "memory"):
        assert finding(found, name)["verdict"] == "pass", found.markdown
    # Quantiles in order, each within its interval, from the steady phase alone. One that dependence leaves without an interval is absent.
    figures = [e["figure"] for e in finding(found, "latency")["evidence"] if "figure" in e]
    labels = [f["label"] for f in figures]
    assert labels and labels == [f"inference {p}" for p in ("p50", "p95", "p99", "p99.9") if f"inference {p}" in labels], labels
    assert [f["value"] for f in figures] == sorted(f["value"] for f in figures)
    assert all(f["ci"][0] <= f["value"] <= f["ci"][1] for f in figures)
    phases = {p["name"]: p for p in found.phases()}
    assert figures[0]["n"] == phases["steady"]["ok"]
    cores = len(os.sched_getaffinity(0))
    for name in {"1 caller", f"{2 * cores} callers", "1 thread", "1 in a batch", "16 in a batch", "memory"}:
        assert phases[name]["failed"] == 0 and phases[name]["ok"] > 0, name
    assert phases[f"{2 * cores} callers"]["in_flight_max"] <= 2 * cores
    # Memory is that of a process that maps the library and holds the model.
    memory = finding(found, "memory")
    sizes = [figure(memory, label)["value"] for label in ("before", "with the library", "with the model loaded", "at the peak")]
    assert 0 < sizes[0] < sizes[1] < sizes[2] <= sizes[3], sizes
    # So small a model is fast enough for the test of growth even in a quick run.
    assert finding(found, "memory-growth")["verdict"] in ("pass", "inconclusive"), found.markdown
    text = found.markdown
    assert "fed 1x8 with random values from 0 to 1; by default axis 0 (batch) = 1" in text
    again = prony("report", found.folder, "--format", "json")
    assert again.json() == found.data
    assert found.data["gaps"]["not_run"] == []


@pytest.mark.parametrize(
    ("make", "name", "says"),
    [
        (onnx_models.not_a_number, "outputs-finite", "64 of 64 values of the outputs are no finite numbers: `y`"),
        (onnx_models.constant, "outputs-vary", "The output is the same for 8 different inputs"),
        (onnx_models.random, "outputs-deterministic", "4 of 4 repeats of `y` differ"),
        (onnx_models.another_shape, "outputs-as-declared", "`y` does not have the type and shape that the model declares"),
        (onnx_models.single, "inference-failed", "Inference failed during 2 in a batch"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_faulty_model_fails(model, make, name, says):
    done, found = model(make)
    done.ended(1)
    entry = finding(found, name)
    assert entry["verdict"] == "fail" and says in entry["title"], entry
    outputs = {"outputs-finite", "outputs-vary", "outputs-deterministic", "outputs-as-declared", "inference-failed"}
    others = {f["id"] for f in found.findings("fail")} & outputs
    assert others == {name}, found.markdown


def test_a_declared_shape_that_is_another_is_told(model):
    _, found = model(onnx_models.another_shape)
    table = next(e["table"] for e in finding(found, "outputs-as-declared")["evidence"] if "table" in e)
    assert table["rows"] == [["y", "float32 [5]", "float32 [8]"]]


def test_shapes_and_ranges_are_said(model, tmp_path, prony):
    file = onnx_models.fixed_inside(tmp_path / "fixed.onnx")
    ask = ("model", file, "--quick", "--onnxruntime", CAPI)
    refused = prony(*ask)
    assert refused.code == 64 and "the model refuses its inputs" in refused.err and "was fed 1x16" in refused.err
    for shape, says in (
        ("x=1x8x1", "it has 2 axes, not 3"),
        ("y=1x8", "the model has no input 'y'"),
        ("x=1x0", "is no shape"),
    ):
        wrong = prony(*ask, "--shape", shape)
        assert wrong.code == 64 and says in wrong.err, wrong
    sound = prony("model", onnx_models.sound(tmp_path / "s.onnx"), "--onnxruntime", CAPI, "--shape", "x=1x9")
    assert sound.code == 64 and "axis 1 is fixed at 8, not 9" in sound.err, sound
    # Told what it takes, it is measured.
    done, found = model(onnx_models.fixed_inside, "--shape", "x=1x8")
    assert finding(found, "outputs-finite")["verdict"] == "pass", done
    done, found = model(onnx_models.tokens, "--range", "ids=0:99", "--shape", "ids=1x32")
    assert finding(found, "outputs-vary")["verdict"] == "pass", done
    assert "fed 1x32 with random values from 0 to 99" in found.markdown
    beyond = prony("model", tmp_path / "tokens.onnx", "--onnxruntime", CAPI, "--range", "ids=1000:2000")
    assert beyond.code == 64 and "--range NAME=LOW:HIGH" in beyond.err, beyond


@pytest.mark.alone
def test_gates_decide(measure, tmp_path):
    ask = ("model", onnx_models.sound(tmp_path / "sound.onnx"), "--quick", "--onnxruntime", CAPI)

    def verdicts(*wanted):
        def judge(_, found):
            assert [g["verdict"] for g in found.data["gates"]] == list(wanted), found.data["gates"]

        return judge

    kept = ("--gate", "p50_ms <= 1000", "--gate", 'finding.outputs-finite = "pass"')
    measure(*ask, *kept, judge=verdicts("pass", "pass"), attempts=3, timeout=LONGEST_S)
    done, _ = measure(*ask, "--gate", "p50_ms <= 0.000001", judge=verdicts("fail"), attempts=3, timeout=LONGEST_S)
    done.ended(1)


def test_what_cannot_be_measured_is_refused_with_a_way_on(prony, tmp_path):
    whole = onnx_models.sound(tmp_path / "sound.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(whole.read_bytes()[:60])
    empty = tmp_path / "empty.onnx"
    empty.write_bytes(b"")
    no_library = tmp_path / "none.so"
    no_library.write_bytes(b"this is no library")
    here = ("--onnxruntime", CAPI)
    for args, says in (
        ((broken, *here), "onnxruntime cannot load"),
        ((empty, *here), "onnxruntime cannot load"),
        ((onnx_models.texts(tmp_path / "texts.onnx"), *here), "cannot be made up"),
        ((tmp_path / "absent.onnx", *here), "there is no file"),
        ((whole, "--onnxruntime", tmp_path / "nowhere"), "there is no onnxruntime library"),
        ((whole, "--onnxruntime", no_library), "cannot be loaded as onnxruntime"),
        ((whole, *here, "--gate", "p99 <= 4"), "did you mean `p99_ms`?"),
        ((whole, *here, "--range", "z=0:1"), "no input 'z'"),
    ):
        done = prony("model", *args, env={"ORT_DYLIB_PATH": "", "VIRTUAL_ENV": ""})
        assert done.code == 64 and says in done.err and "next:" in done.err, done
    assert not (tmp_path / "prony-runs").exists()


def test_the_library_is_found_where_it_usually_is(prony, tmp_path):
    whole = onnx_models.sound(tmp_path / "sound.onnx")
    bare = {"ORT_DYLIB_PATH": "", "VIRTUAL_ENV": ""}
    absent = prony("model", whole, env=bare)
    assert absent.code == 64 and "no virtual environment is active" in absent.err and "pip install onnxruntime" in absent.err
    (tmp_path / "venv").mkdir()
    absent = prony("model", whole, env=bare | {"VIRTUAL_ENV": tmp_path / "venv"})
    assert absent.code == 64 and "does not hold it" in absent.err
    # A gate that is none is told once the library was found.
    library = next(CAPI.glob("libonnxruntime.so*"))
    for env in ({"VIRTUAL_ENV": sys.prefix}, {"ORT_DYLIB_PATH": library}):
        found = prony("model", whole, "--gate", "nothing", env=bare | env)
        assert found.code == 64 and "METRIC OP NUMBER" in found.err, found


def test_a_process_that_does_not_answer_is_ended_and_told(model):
    done, found = model(onnx_models.sound, "--timeout", "1ms")
    done.ended(1)
    entry = finding(found, "inference-failed")
    assert entry["title"] == "The process gave no results during its first start"
    assert any("--timeout" in e["quote"]["text"] for e in entry["evidence"] if "quote" in e)


def test_one_document_on_standard_output(prony, tmp_path):
    file = onnx_models.sound(tmp_path / "sound.onnx")
    done = prony("model", file, "--quick", "--json", "--onnxruntime", CAPI, timeout=LONGEST_S)
    document = json.loads(done.out)
    assert document["title"] == "sound.onnx" and len(document["findings"]) >= 9


def test_hostile_names_stay_text(model, tmp_path, prony):
    name = "<script>alert(1)</script>\x1b[31m"
    file = tmp_path / "hostile.onnx"
    nodes = [onnx_models.helper.make_node("Relu", [name], ["y" + name])]
    float32 = onnx_models.FLOAT
    onnx_models.saved(file, nodes, [(name, float32, [1, 4])], [("y" + name, float32, [1, 4])], check=False)
    folder = tmp_path / "run"
    done = prony("model", file, "--quick", "-o", folder, "--onnxruntime", CAPI, timeout=LONGEST_S)
    assert "\x1b" not in done.text
    page = (folder / "report.html").read_text()
    assert "<script>alert(1)" not in page and "\x1b" not in page


def test_stopped_by_the_user_it_keeps_what_it_has(start, tmp_path, report):
    file = onnx_models.sound(tmp_path / "sound.onnx")
    folder = tmp_path / "run"
    running = start("model", file, "-o", folder, "--onnxruntime", CAPI)
    events = folder / "events.ndjson"
    for _ in range(600):
        if events.exists() and '"steady"' in events.read_text():
            break
        time.sleep(0.1)
    running.signal(signal.SIGTERM)
    done = running.wait(60)
    assert done.code == 130, done
    assert finding(report(folder), "outputs-finite")["verdict"] == "pass"

