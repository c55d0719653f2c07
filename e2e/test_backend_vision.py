"""The image detection preset against clients that were written for the real things: Pillow's pictures over multipart, and
Triton's own clients over both protocols of KServe V2."""

import io
import time

import httpx
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from PIL import Image, ImageDraw
from tritonclient.utils import InferenceServerException

NOBODY = "00000000-0000-4000-8000-000000000000"
FAST = ("load_scale=0.01", "service_scale=0.02", "service_sigma=0")
SIZES = [(64, 64), (320, 240), (640, 480), (1280, 720), (1920, 1080)]


def picture(width, height, seed=0) -> Image.Image:
    """Rectangles and a disc on a plain ground."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), tuple(random.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for shape in (draw.rectangle, draw.rectangle, draw.ellipse):
        x, y = random.integers(0, width // 2), random.integers(0, height // 2)
        shape([x, y, x + width // 3, y + height // 3], fill=tuple(random.integers(0, 256, 3).tolist()))
    return image


def encoded(image, kind="PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


class Platform:
    """A client of the platform's own API."""

    def __init__(self, server):
        self.http = httpx.Client(base_url=server.url, trust_env=False, timeout=30)
        self.admin, self.server = server.admin, server

    def upload(self, *images, kind="PNG", split="test"):
        files = [("files", (f"{k}.{kind.lower()}", encoded(image, kind), f"image/{kind.lower()}")) for k, image in enumerate(images)]
        reply = self.http.post("/api/v1/images", files=files, data={"dataset_split": split})
        assert reply.status_code == 201, reply.text
        return [image["id"] for image in reply.json()["uploaded_images"]]

    def model(self, name="yolo11_nano") -> str:
        models = self.http.get("/api/v1/models").json()["models"]
        return next(model["id"] for model in models if model["metadata"]["registry_name"] == name)

    def single(self, image, model, **more) -> dict:
        reply = self.http.post("/api/v1/inference/single", json={"image_id": image, "model_id": model, **more})
        assert reply.status_code == 200, reply.text
        return reply.json()

    def job(self, wait_for=None, **order) -> dict:
        reply = self.http.post("/api/v1/inference/batch", json=order)
        assert reply.status_code == 202, reply.text
        return self.until(reply.json()["job_id"], wait_for) if wait_for else reply.json()

    def until(self, job_id, wanted, give_up_s=60) -> dict:
        end = time.monotonic() + give_up_s
        while time.monotonic() < end:
            job = self.http.get(f"/api/v1/inference/jobs/{job_id}").json()
            if wanted(job):
                return job
            time.sleep(0.01)
        raise AssertionError(job)

    def truth(self) -> dict:
        return httpx.get(f"{self.admin}/truth", trust_env=False).json()


@pytest.fixture
def platform(backend):
    started = []

    def platform(preset="vision-fixed", *knobs):
        started.append(Platform(backend(preset, *FAST, *knobs)))
        return started[-1]

    yield platform
    for one in started:
        one.http.close()


def test_endpoints_answer_as_the_specification_says(platform):
    one = platform()
    (image,) = one.upload(picture(64, 64))
    model = one.model()
    batch, single = "/api/v1/inference/batch", "/api/v1/inference/single"
    ids = {"image_id": image, "model_id": model}
    job = one.job(lambda job: job["status"] == "completed", image_ids=[image], model_id=model)["job_id"]
    table = [
        ("GET", "/", None, 200, {"message", "version", "status", "docs"}),
        ("GET", "/health", None, 200, {"status", "version"}),
        ("GET", "/metrics", None, 200, None),
        ("GET", "/docs", None, 200, None),
        ("GET", "/api/v1/images", None, 200, {"images", "total_count", "limit", "offset"}),
        ("GET", "/api/v1/images?limit=1&offset=0&dataset_split=test", None, 200, {"images", "total_count", "limit", "offset"}),
        ("GET", f"/api/v1/images/{image}", None, 200, {"id", "filename", "file_size", "format", "width", "height", "dataset_split"}),
        ("GET", "/api/v1/models", None, 200, {"models", "total_count", "limit", "offset"}),
        ("GET", f"/api/v1/models/{model}", None, 200, {"id", "name", "framework", "type", "variant", "training_status"}),
        ("POST", single, ids, 200, {"image_id", "detections", "segmentations", "inference_time_ms", "model_confidence", "timestamp"}),
        ("GET", "/api/v1/inference/jobs", None, 200, {"jobs", "total_count", "limit", "offset"}),
        ("GET", f"/api/v1/inference/jobs/{job}", None, 200, {"job_id", "status", "total_images", "processed_images", "progress_percentage", "results"}),
        ("POST", "/api/v1/images", {}, 400, "No files provided"),
        ("GET", "/api/v1/images?dataset_split=nope", None, 400, "Invalid dataset split: nope"),
        ("GET", "/api/v1/images?offset=-1", None, 400, "Offset must be non-negative"),
        ("GET", "/api/v1/images?limit=0", None, 400, "Limit must be positive"),
        ("GET", "/api/v1/images/nope", None, 400, "Invalid UUID format"),
        ("GET", f"/api/v1/images/{NOBODY}", None, 404, "Image not found"),
        ("GET", "/api/v1/models?framework=nope", None, 400, "Invalid framework: nope"),
        ("GET", "/api/v1/models?type=nope", None, 400, "Invalid model type: nope"),
        ("GET", "/api/v1/models?training_status=nope", None, 400, "Invalid training status: nope"),
        ("GET", "/api/v1/models/yolo11_nano", None, 400, "Invalid UUID format"),
        ("GET", f"/api/v1/models/{NOBODY}", None, 404, "Model not found"),
        ("POST", single, {}, 422, "Validation failed"),
        ("POST", single, ids | {"confidence_threshold": 1.5}, 422, "Validation failed"),
        ("POST", single, ids | {"max_detections": 0}, 422, "Validation failed"),
        ("POST", single, ids | {"unknown": 1}, 422, "Validation failed"),
        ("POST", single, ids | {"image_id": "nope"}, 400, "Invalid UUID format"),
        ("POST", single, ids | {"image_id": NOBODY}, 404, "Image or model not found"),
        ("POST", batch, {"image_ids": [], "model_id": model}, 422, "Validation failed"),
        ("POST", batch, {"image_ids": ["nope"], "model_id": model}, 400, "Invalid UUID format"),
        ("POST", batch, {"image_ids": [image], "model_id": NOBODY}, 404, "Model not found"),
        ("GET", "/api/v1/inference/jobs?status=nope", None, 400, "Invalid status: nope"),
        ("GET", "/api/v1/inference/jobs/nope", None, 400, "Invalid UUID format"),
        ("GET", f"/api/v1/inference/jobs/{NOBODY}", None, 404, "Inference job not found"),
        ("POST", f"/api/v1/inference/jobs/{NOBODY}/cancel", {}, 404, "Inference job not found"),
        ("POST", f"/api/v1/inference/jobs/{job}/cancel", {}, 400, "Cannot cancel a job that is completed"),
        ("GET", "/nope", None, 404, "Not Found"),
        ("DELETE", f"/api/v1/images/{image}", None, 405, "Method Not Allowed"),
    ]
    for method, path, body, status, told in table:
        reply = one.http.request(method, path, json=body)
        assert reply.status_code == status, (method, path, reply.text)
        if isinstance(told, str):
            assert reply.json()["error"] == told, (method, path, reply.text)
        elif told:
            assert told <= reply.json().keys(), (method, path, reply.text)
    for files, split, told in [
        ([("files", ("a.png", b"no image", "image/png"))], "test", "No valid image files provided"),
        ([("files", ("a.png", encoded(picture(8, 8)), "image/png"))], "nope", "Invalid dataset split: nope"),
    ]:
        reply = one.http.post("/api/v1/images", files=files, data={"dataset_split": split})
        assert (reply.status_code, reply.json()["error"]) == (400, told)


def test_a_form_of_good_and_bad_files_is_counted(platform):
    one = platform()
    files = [("files", ("good.jpg", encoded(picture(50, 40), "JPEG"), "image/jpeg")), ("files", ("bad.png", b"\x89PNG\r\n", "image/png"))]
    told = one.http.post("/api/v1/images", files=files).json()
    assert (told["total_count"], told["success_count"], told["failed_count"]) == (2, 1, 1)
    (image,) = told["uploaded_images"]
    assert (image["format"], image["width"], image["height"], image["dataset_split"]) == ("JPEG", 50, 40, "train")


def test_pictures_of_all_sizes_are_told_apart(platform):
    one = platform()
    model = one.model()
    found = {}
    for kind in ("PNG", "JPEG"):
        pictures = [picture(width, height, seed) for seed, (width, height) in enumerate(SIZES)]
        for size, image in zip(SIZES, one.upload(*pictures, kind=kind)):
            answer = one.single(image, model)
            assert one.single(image, model)["detections"] == answer["detections"]
            for box in answer["detections"]:
                left, top, width, height = box["bbox"]
                assert left >= 0 and top >= 0 and left + width <= size[0] + 0.01 and top + height <= size[1] + 0.01
                assert 0.5 <= box["confidence"] <= 1 and box["class_name"]
            found[kind, size] = str(answer["detections"])
    assert len(set(found.values())) == len(found), found


def test_a_job_goes_through_its_life(platform):
    one = platform("vision-fixed", "service_scale=1", "jobs_running_max=1")
    image, other = one.upload(picture(64, 64, 1), picture(64, 64, 2))
    model = one.model()
    long = one.job(image_ids=[image] * 200, model_id=model, batch_size=1)
    assert long["status"] in ("pending", "running") and long["total_images"] == 200
    waiting = one.job(image_ids=[other], model_id=model)
    assert waiting["status"] == "pending"
    begun = one.until(long["job_id"], lambda job: job["processed_images"] >= 2)
    assert begun["status"] == "running" and 0 < begun["progress_percentage"] < 100
    ended = one.http.post(f"/api/v1/inference/jobs/{long['job_id']}/cancel").json()
    assert ended["status"] == "cancelled" and len(ended["results"]) == ended["processed_images"] < 200
    done = one.until(waiting["job_id"], lambda job: job["status"] == "completed")
    assert (done["progress_percentage"], done["failed_images"], len(done["results"])) == (100, 0, 1)
    failed = one.job(lambda job: job["completed_at"], image_ids=[image, NOBODY], model_id=model)
    assert (failed["status"], failed["failed_images"], len(failed["results"])) == ("failed", 1, 1)
    counts = one.truth()["jobs"]["by_status"]
    assert counts == {"pending": 0, "running": 0, "completed": 1, "failed": 1, "cancelled": 1}


def test_loading_takes_memory_and_unloading_gives_it_back(platform):
    one = platform("vision-fixed", "preload=none")
    held = lambda: one.truth()["models"]["memory_bytes"]  # noqa: E731
    model = one.model("yolo12_medium")
    assert held() == 0
    loaded = one.http.post(f"/api/v1/models/{model}/load").json()
    assert loaded["is_loaded"] and held() == pytest.approx(loaded["performance_metrics"]["memory_usage_mb"] * 2**20, abs=1)
    assert not one.http.post(f"/api/v1/models/{model}/unload").json()["is_loaded"] and held() == 0


@pytest.fixture
def triton(platform):
    """Both clients of one server: `http, grpc, platform = triton(preset, knobs...)`."""
    open_clients = []

    def triton(*args):
        one = platform(*args)
        http = tritonclient.http.InferenceServerClient(one.server.url.removeprefix("http://"))
        grpc = tritonclient.grpc.InferenceServerClient(one.server.beside["grpc"].removeprefix("http://"))
        open_clients.extend((http, grpc))
        return http, grpc, one

    yield triton
    for client in open_clients:
        client.close()


def asked(module, images, binary=None):
    given = module.InferInput("images", list(images.shape), "UINT8")
    if binary is None:
        given.set_data_from_numpy(images)
    else:
        given.set_data_from_numpy(images, binary_data=binary)
    return given


OUTPUTS = ("boxes", "scores", "classes", "counts")


def arrays(result) -> dict:
    return {name: result.as_numpy(name) for name in OUTPUTS}


def same(a, b) -> bool:
    return all(a[name].dtype == b[name].dtype and np.array_equal(a[name], b[name]) for name in OUTPUTS)


def test_triton_clients_get_the_same_over_both_protocols(triton):
    http, grpc, one = triton("vision-fixed", "preload=yolo11_nano")
    for client in (http, grpc):
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("yolo11_nano", "1")
        assert not client.is_model_ready("yolo11_small")
    told = http.get_server_metadata()
    assert (told["name"], told["extensions"]) == (grpc.get_server_metadata().name, list(grpc.get_server_metadata().extensions))
    metadata, over_grpc = http.get_model_metadata("yolo11_nano"), grpc.get_model_metadata("yolo11_nano", as_json=True)
    assert [one["name"] for one in metadata["outputs"]] == [one["name"] for one in over_grpc["outputs"]] == list(OUTPUTS)
    assert metadata["inputs"][0] == {"name": "images", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}
    config = grpc.get_model_config("yolo11_nano").config
    assert [(one.name, one.data_type) for one in config.input] == [("images", 2)]
    assert [one["data_type"] for one in http.get_model_config("yolo11_nano")["output"]] == ["TYPE_FP32", "TYPE_FP32", "TYPE_INT64", "TYPE_INT32"]

    small = np.stack([np.asarray(picture(64, 48, seed)) for seed in (1, 2)])
    as_json = [tritonclient.http.InferRequestedOutput(name, binary_data=False) for name in OUTPUTS]
    by_json = arrays(http.infer("yolo11_nano", [asked(tritonclient.http, small, binary=False)], outputs=as_json))
    by_bytes = arrays(http.infer("yolo11_nano", [asked(tritonclient.http, small, binary=True)]))
    by_grpc = arrays(grpc.infer("yolo11_nano", [asked(tritonclient.grpc, small)]))
    assert same(by_json, by_bytes) and same(by_json, by_grpc)
    assert by_json["boxes"].shape[0] == 2 and by_json["counts"].min() >= 1
    assert not np.array_equal(by_json["boxes"][0], by_json["boxes"][1])

    large = np.asarray(picture(1920, 1080, 3))[None]
    limits = {"confidence_threshold": 0.1, "max_detections": 2}
    over_http = http.infer("yolo11_nano", [asked(tritonclient.http, large)], parameters=limits, request_id="mine")
    over_grpc = grpc.infer("yolo11_nano", [asked(tritonclient.grpc, large)], parameters=limits, request_id="mine")
    assert same(arrays(over_http), arrays(over_grpc))
    assert over_http.get_response()["id"] == over_grpc.get_response().id == "mine"
    assert over_http.as_numpy("counts").tolist() == [2]

    # The platform's own API finds the same in the same pixels.
    (image,) = one.upload(Image.fromarray(small[0]))
    boxes = [box["bbox"] for box in one.single(image, one.model())["detections"]]
    assert np.allclose(boxes, by_json["boxes"][0][: by_json["counts"][0]], atol=1e-3)
    true = one.truth()["endpoints"]
    assert true["gRPC ModelInfer"]["count"] == 2 and true["POST /v2/models/{model}/infer"]["count"] == 3


def test_triton_clients_are_refused_alike(triton):
    http, grpc, _ = triton()
    good = np.zeros((1, 8, 8, 3), np.uint8)
    for module, client, unknown in ((tritonclient.http, http, "404"), (tritonclient.grpc, grpc, "StatusCode.NOT_FOUND")):
        for model, images, text in [
            ("nope", good, "Request for unknown model: 'nope' is not found"),
            ("yolo11_nano", np.zeros((1, 8, 8, 4), np.uint8), "unexpected shape for input 'images'"),
            ("yolo11_nano", np.zeros((9, 8, 8, 3), np.uint8), "a batch has 1 to 8 images"),
        ]:
            with pytest.raises(InferenceServerException) as refused:
                client.infer(model, [asked(module, images)])
            assert text in refused.value.message()
            assert (refused.value.status() == unknown) == (model == "nope"), refused.value
        wrong = module.InferInput("images", [1, 8, 8, 3], "FP32")
        wrong.set_data_from_numpy(good.astype(np.float32))
        with pytest.raises(InferenceServerException, match="data-type must be UINT8"):
            client.infer("yolo11_nano", [wrong])
        with pytest.raises(InferenceServerException, match="must be a number from 0 to 1"):
            client.infer("yolo11_nano", [asked(module, good)], parameters={"nms_threshold": 7})
        with pytest.raises(InferenceServerException, match="unexpected inference output 'nope'"):
            client.infer("yolo11_nano", [asked(module, good)], outputs=[module.InferRequestedOutput("nope")])


def test_triton_clients_load_and_unload(triton):
    http, grpc, one = triton("vision-fixed", "preload=none", "lazy_load=false")
    assert len(http.get_model_repository_index()) == len(grpc.get_model_repository_index().models) == 21
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    for module, client in ((tritonclient.http, http), (tritonclient.grpc, grpc)):
        with pytest.raises(InferenceServerException, match="has no available versions"):
            client.infer("yolo11_nano", [asked(module, pixels)])
        client.load_model("yolo11_nano")
        assert client.is_model_ready("yolo11_nano") and one.truth()["models"]["memory_bytes"] > 0
        client.infer("yolo11_nano", [asked(module, pixels)])
        client.unload_model("yolo11_nano")
        assert not client.is_model_ready("yolo11_nano") and one.truth()["models"]["memory_bytes"] == 0


def test_each_planted_fault_can_be_seen(triton):
    http, grpc, one = triton("vision")
    pictures = [np.asarray(picture(64, 64, seed))[None] for seed in (1, 2)]
    answers = [arrays(http.infer("yolo11_nano", [asked(tritonclient.http, each)])) for each in pictures]
    answers += [arrays(grpc.infer("yolo11_nano", [asked(tritonclient.grpc, each)])) for each in pictures]
    assert all(same(answers[0], answer) for answer in answers[1:])  # V1
    images = one.upload(picture(64, 64, 1), picture(64, 64, 2))
    reply = one.http.post("/api/v1/inference/single", json={"image_id": images[0], "model_id": one.model()})
    assert (reply.status_code, reply.json()) == (500, {"error": "Internal server error"})  # V2
    job = one.job(image_ids=images, model_id=one.model())
    time.sleep(0.3)
    assert one.until(job["job_id"], lambda _: True)["status"] == "pending"  # V3
    assert [fault["id"] for fault in one.truth()["faults"]] == ["V1", "V2", "V3"]
