"""`prony serve --model`: the detection platform with a model of the user's own, run by the real onnxruntime. The models are small, and what
they must find in a picture is known."""

import importlib.util
import io
from pathlib import Path

import httpx
import numpy as np
import pytest
import tritonclient.http
from PIL import Image, ImageDraw

import onnx_models
from conftest import binary

CAPI = Path(importlib.util.find_spec("onnxruntime").origin).parent / "capi"
RED, BLUE = (255, 0, 0), (0, 0, 255)


def picture(size, *things) -> Image.Image:
    """Rectangles (left, top, width, height, colour) on grey."""
    image = Image.new("RGB", size, (114, 114, 114))
    draw = ImageDraw.Draw(image)
    for left, top, width, height, colour in things:
        draw.rectangle([left, top, left + width - 1, top + height - 1], fill=colour)
    return image


class Platform:
    """A client of the server."""

    def __init__(self, server):
        self.http = httpx.Client(base_url=server.url, trust_env=False, timeout=30)
        self.server = server

    def upload(self, image) -> str:
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        reply = self.http.post("/api/v1/images", files=[("files", ("a.png", buffer.getvalue(), "image/png"))])
        assert reply.status_code == 201, reply.text
        return reply.json()["uploaded_images"][0]["id"]

    def model(self, name="yolo11_nano") -> dict:
        models = self.http.get("/api/v1/models").json()["models"]
        return next(model for model in models if model["metadata"]["registry_name"] == name)

    def ask(self, image, name="yolo11_nano", **more) -> dict:
        ids = {"image_id": self.upload(image), "model_id": self.model(name)["id"]}
        reply = self.http.post("/api/v1/inference/single", json=ids | more)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def found(self, image, **more) -> list:
        """What was found: (name, confidence, box), from left to right."""
        told = self.ask(image, **more)["detections"]
        each = [(d["class_name"], round(d["confidence"], 3), [round(v, 2) for v in d["bbox"]]) for d in told]
        return sorted(each, key=lambda one: one[2])

    def truth(self) -> dict:
        return httpx.get(f"{self.server.admin}/truth", trust_env=False).json()


@pytest.fixture
def serve(server, tmp_path):
    """`serve(onnx_models.detector)`: the platform with that model."""
    started = []

    def serve(make, *extra, preset="vision-fixed") -> Platform:
        file = make(tmp_path / f"{make.__name__}.onnx")
        command = [binary(), "serve", preset, "--port", 0, "--admin-port", 0, "--model", file, "--onnxruntime", CAPI]
        started.append(Platform(server(*command, *extra)))
        return started[-1]

    yield serve
    for one in started:
        one.http.close()


@pytest.mark.parametrize("make", [onnx_models.detector, onnx_models.queries], ids=lambda make: make.__name__)
def test_a_detector_finds_what_is_in_each_picture(serve, make):
    one = serve(make)
    # Twice as wide as high: half a pixel of the input for each of the picture, and grey above and below. Each thing is one cell.
    red = picture((128, 64), (32, 16, 16, 16, RED))
    both = picture((128, 64), (0, 0, 16, 16, BLUE), (112, 48, 16, 16, RED))
    assert one.found(red) == [("red thing", 1.0, [32, 16, 16, 16])]
    assert one.found(both) == [("blue thing", 1.0, [0, 0, 16, 16]), ("red thing", 1.0, [112, 48, 16, 16])]
    assert one.found(picture((128, 64))) == []
    # Twice as high as wide, and smaller than the input.
    tall = picture((16, 32), (8, 16, 4, 4, BLUE))
    [(name, _, box)] = one.found(tall, confidence_threshold=0.6)
    assert name == "blue thing" and box == [8, 16, 4, 4]
    # What the client asks for is what it gets.
    faint = picture((64, 64), (8, 8, 8, 8, (154, 114, 114)))
    assert one.found(faint) == []
    assert one.found(faint, confidence_threshold=0.1) == [("red thing", 0.157, [8, 8, 8, 8])]
    assert len(one.found(both, max_detections=1)) == 1
    assert one.found(red) == [("red thing", 1.0, [32, 16, 16, 16])], "the same again"


def test_every_model_of_the_catalogue_answers_with_it_over_both_protocols(serve):
    one = serve(onnx_models.detector)
    red = picture((128, 64), (32, 16, 16, 16, RED))
    assert one.ask(red, "rtdetr_r18")["detections"] == one.ask(red)["detections"]
    (outlined,) = one.ask(red, "sam2_tiny")["segmentations"]
    assert outlined["mask"] == [[32, 16], [48, 16], [48, 32], [32, 32]]
    client = tritonclient.http.InferenceServerClient(one.server.url.removeprefix("http://"))
    try:
        pixels = np.asarray(red)[np.newaxis]
        given = tritonclient.http.InferInput("images", list(pixels.shape), "UINT8")
        given.set_data_from_numpy(pixels)
        answer = client.infer("yolo12_large", [given])
        assert answer.as_numpy("boxes").tolist() == [[[32, 16, 16, 16]]]
        assert answer.as_numpy("classes").tolist() == [[0]] and answer.as_numpy("scores")[0, 0] == pytest.approx(1)
        assert client.get_model_metadata("yolo12_large")["platform"] == "onnxruntime_onnx"
    finally:
        client.close()


def test_a_classifier_names_the_whole_picture(serve):
    one = serve(onnx_models.classifier)
    square = picture((80, 80), (0, 0, 80, 80, BLUE))
    assert one.found(square) == [("class 2", 1.0, [0, 0, 80, 80])]
    assert one.found(picture((80, 80), (0, 0, 80, 80, RED))) == [("class 0", 1.0, [0, 0, 80, 80])]
    told = one.truth()["models"]["file"]
    assert told["layout"] == "classifier" and told["input_px"] == [640, 640], told
    assert one.model()["config"]["input_size"] == [640, 640, 3]


def test_what_is_told_of_it_was_measured(serve):
    one = serve(onnx_models.detector, "--set", "slots=2")
    truth = one.truth()["models"]
    told, model = truth["file"], one.model()
    assert (told["name"], told["layout"], told["classes"], told["sessions"]) == ("detector.onnx", "yolo", 2, 2)
    assert told["load_ms"] > 0 and told["inference_ms"] > 0 and told["loaded"]
    # One file, however many models it stands for.
    assert truth["memory_bytes"] == told["memory_bytes"] and all(m["loaded"] for m in truth["all"])
    figures = model["performance_metrics"]
    assert figures["load_time_ms"] == told["load_ms"] and figures["inference_time_ms"] == told["inference_ms"]
    assert "mAP" not in figures and model["class_labels"] == ["red thing", "blue thing"]
    # No time is added to the model's own, which is far below the 25 ms that are declared of the small network.
    times = sorted(one.ask(picture((64, 64)))["inference_time_ms"] for _ in range(9))
    assert times[0] < 25, times


def test_it_is_loaded_when_it_is_asked_for_and_gone_when_it_is_unloaded(serve):
    one = serve(onnx_models.detector, "--set", "preload=none")
    loaded = lambda: one.truth()["models"]["file"]["loaded"]  # noqa: E731
    assert not loaded()
    red = picture((128, 64), (32, 16, 16, 16, RED))
    assert one.found(red) == [("red thing", 1.0, [32, 16, 16, 16])] and loaded()
    assert not one.http.post(f"/api/v1/models/{one.model()['id']}/unload").json()["is_loaded"]
    for _ in range(100):
        if not loaded():
            break
    assert one.truth()["models"]["memory_bytes"] == 0
    assert one.found(red) == [("red thing", 1.0, [32, 16, 16, 16])]


def test_a_job_runs_it_too(serve):
    one = serve(onnx_models.detector)
    images = [one.upload(picture((64, 64), (8, 8, 8, 8, colour))) for colour in (RED, BLUE)]
    job = one.http.post("/api/v1/inference/batch", json={"image_ids": images, "model_id": one.model()["id"]}).json()
    for _ in range(600):
        job = one.http.get(f"/api/v1/inference/jobs/{job['job_id']}").json()
        if job["completed_at"]:
            break
    assert job["status"] == "completed", job
    names = [[d["class_name"] for d in result["detections"]] for result in job["results"]]
    assert names == [["red thing"], ["blue thing"]]


def test_what_cannot_be_served_is_refused_before_it_is_ready(prony, tmp_path):
    whole = onnx_models.detector(tmp_path / "detector.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(whole.read_bytes()[:60])
    no_library = tmp_path / "none.so"
    no_library.write_bytes(b"this is no library")
    here = ("--onnxruntime", CAPI)
    for args, says in (
        (("enso", "--model", whole, *here), "--model is for: vision, vision-fixed"),
        (("all", "--model", whole, *here), "--model is for: vision, vision-fixed"),
        (("vision", "--model", whole, *here), "set placeholder=false"),
        (("vision-fixed", "--model", tmp_path / "absent.onnx", *here), "there is no file"),
        (("vision-fixed", "--model", broken, *here), "onnxruntime cannot load it"),
        (("vision-fixed", "--model", whole), "no virtual environment is active"),
        (("vision-fixed", "--model", whole, "--onnxruntime", tmp_path / "nowhere"), "there is no onnxruntime library"),
        (("vision-fixed", "--model", whole, "--onnxruntime", no_library), "cannot be loaded as onnxruntime"),
        (("vision-fixed", "--model", onnx_models.sound(tmp_path / "sound.onnx"), *here), "[1, 3, height, width]"),
        (("vision-fixed", "--model", onnx_models.channels_last(tmp_path / "last.onnx"), *here), "channels last"),
        (("vision-fixed", "--model", onnx_models.masks(tmp_path / "masks.onnx"), *here), "names 2 classes"),
        (("vision-fixed", "--model", onnx_models.suppressed(tmp_path / "nms.onnx"), *here), "nms=False"),
    ):
        done = prony("serve", *args, "--port", 0, env={"ORT_DYLIB_PATH": "", "VIRTUAL_ENV": ""})
        assert done.code == 64 and says in done.err and "next:" in done.err and "ready" not in done.out, done


def test_the_library_is_found_where_it_usually_is(server, tmp_path):
    file = onnx_models.detector(tmp_path / "detector.onnx")
    library = next(CAPI.glob("libonnxruntime.so*"))
    one = server(
        binary(), "serve", "vision-fixed", "--port", 0, "--model", file, env={"VIRTUAL_ENV": "", "ORT_DYLIB_PATH": str(library)}
    )
    assert httpx.get(f"{one.url}/health", trust_env=False).json()["models_loaded"] == 21
