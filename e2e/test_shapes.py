"""What people really run: small servers, true to the public descriptions of their APIs, each checked by nothing but its URL.

Each must be recognised, its work asked with a request that it answers well, and the load sent to the endpoint that does the
work. A server here refuses what the real one refuses, and counts what it was asked; one that is asked for something that does
harm fails its test."""

import base64
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

JSON, TEXT, SSE, LINES = "application/json", "text/plain", "text/event-stream", "application/x-ndjson"
# Nothing may be asked of these, whatever the method.
HARM = re.compile(r"delete|unload|pull|create|push|shutdown|copy|cancel|reset|trainings|management")


class Refusal(Exception):
    """An answer that is no success: status, body and content type."""

    def __init__(self, status, body, kind=JSON):
        super().__init__(status)
        self.answer = (status, kind, body if isinstance(body, bytes) else json.dumps(body).encode())


def good(value):
    return 200, JSON, json.dumps(value).encode()


class Asked:
    """What a server was asked: every request, and those that it answered well."""

    def __init__(self):
        self.all, self.good, self.harm = [], [], []

    def count(self, name):
        return sum(1 for one in self.all if one == name)


@contextmanager
def serving(answer, server_name="test"):
    """A server whose `answer(method, path, body, headers)` gives status, content type and bytes, or a list of bytes for a body
    in pieces."""
    asked = Asked()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version, sys_version = server_name, ""

        def reply(self):
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length)
            name = f"{self.command} {self.path.split('?')[0]}"
            asked.all.append(name)
            if self.command not in ("GET", "POST", "OPTIONS") or HARM.search(self.path):
                asked.harm.append(name)
            try:
                status, kind, content = answer(self.command, self.path.split("?")[0], body, self.headers)
            except Refusal as refusal:
                status, kind, content = refusal.answer
            if status == 200:
                asked.good.append(name)
            self.send_response(status)
            self.send_header("content-type", kind)
            if isinstance(content, list):
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for piece in content:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")
            else:
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_POST = do_OPTIONS = do_PUT = do_DELETE = reply

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def wanted(condition, words, status=400):
    if not condition:
        raise Refusal(status, {"error": words})


def read(body):
    try:
        value = json.loads(body or b"null")
    except ValueError:
        raise Refusal(400, {"error": "no JSON"}) from None
    return value if isinstance(value, dict) else {}


def words(text, count=4):
    return [f" {text.split()[k % len(text.split())]}" for k in range(count)]


# Text by the servers' own APIs.


def ollama(method, path, body, headers):
    model = {"name": "tiny:latest", "model": "tiny:latest", "modified_at": "2024-05-04T14:56:49Z", "size": 3825819519,
             "digest": "fe938a131f40e6f6d40083c9f0f430a515233eb2edaa6d72eb85c50d64f2300e",
             "details": {"format": "gguf", "family": "llama", "families": None, "parameter_size": "7B"}}
    if (method, path) == ("GET", "/"):
        return 200, TEXT, b"Ollama is running"
    if (method, path) == ("GET", "/api/tags"):
        return good({"models": [model]})
    if method == "POST" and path in ("/api/generate", "/api/chat"):
        asked = read(body)
        if asked.get("model") != "tiny:latest":
            raise Refusal(404, {"error": "model not found"})
        text = asked["prompt"] if path == "/api/generate" else asked["messages"][-1]["content"]
        said = lambda part: {"response": part} if path == "/api/generate" else {"message": {"role": "assistant", "content": part}}
        head = {"model": "tiny:latest", "created_at": "2024-05-04T14:56:49Z"}
        count = asked.get("options", {}).get("num_predict", 8)
        pieces = words(text, count)
        end = {"done": True, "done_reason": "length", "prompt_eval_count": len(text.split()), "eval_count": count}
        if asked.get("stream", True):
            lines = [head | said(piece) | {"done": False} for piece in pieces] + [head | said("") | end]
            return 200, LINES, [json.dumps(line).encode() + b"\n" for line in lines]
        return good(head | said("".join(pieces)) | end)
    raise Refusal(404, b"404 page not found", TEXT)


def llama_cpp(method, path, body, headers):
    if (method, path) == ("GET", "/health"):
        return good({"status": "ok"})
    if (method, path) == ("GET", "/props"):
        return good({"default_generation_settings": {"n_ctx": 1024}, "total_slots": 1, "model_path": "/models/tiny.gguf"})
    if (method, path) == ("POST", "/completion"):
        asked = read(body)
        wanted("prompt" in asked, {"code": 400, "message": '"prompt" must be provided', "type": "invalid_request_error"})
        count = asked.get("n_predict", 8)
        pieces = words(asked["prompt"], count)
        end = {"content": "", "tokens": [], "stop": True, "stop_type": "limit", "tokens_predicted": count,
               "tokens_evaluated": len(asked["prompt"].split())}
        if asked.get("stream"):
            events = [{"index": 0, "content": piece, "tokens": [7], "stop": False} for piece in pieces] + [end]
            return 200, SSE, [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
        return good(end | {"content": "".join(pieces)})
    raise Refusal(404, {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}})


def operation(schema, types=None):
    return {"post": {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}},
                     "responses": {"200": {"content": types or {JSON: {"schema": {"type": "object"}}}}}}}


def document(paths, title="API"):
    return {"openapi": "3.0.3", "info": {"title": title, "version": "1"}, "paths": paths}


INPUTS = {"type": "object", "required": ["inputs"], "properties": {"inputs": {"type": "string"}}}


def tgi(method, path, body, headers):
    if (method, path) == ("GET", "/api-doc/openapi.json"):
        listing = {"get": {"responses": {"200": {"content": {JSON: {"schema": {"type": "object"}}}}}}}
        return good(document({
            "/": operation(INPUTS), "/generate": operation(INPUTS), "/generate_stream": operation(INPUTS, {SSE: {}}),
            "/tokenize": operation(INPUTS), "/info": listing, "/health": listing}, "Text Generation Inference"))
    if (method, path) == ("GET", "/info"):
        return good({"model_id": "org/tiny", "model_pipeline_tag": "text-generation", "max_concurrent_requests": 128,
                     "max_input_tokens": 1024, "max_total_tokens": 2048, "router": "text-generation-router", "version": "3.0.0"})
    if (method, path) == ("GET", "/health"):
        return 200, TEXT, b""
    asked = read(body)
    if method == "POST" and path in ("/", "/generate", "/generate_stream", "/tokenize"):
        wanted(isinstance(asked.get("inputs"), str), "missing field `inputs`", 422)
    if (method, path) == ("POST", "/tokenize"):
        return good([{"id": k, "text": word} for k, word in enumerate(asked["inputs"].split())])
    parameters = asked.get("parameters") or {}
    count = parameters.get("max_new_tokens", 8)
    if method == "POST" and path in ("/", "/generate"):
        return good({"generated_text": "".join(words(asked["inputs"], count))})
    if (method, path) == ("POST", "/generate_stream"):
        pieces = words(asked["inputs"], count)
        events = [{"index": k + 1, "token": {"id": k, "text": piece, "logprob": -0.5, "special": False},
                   "generated_text": "".join(pieces) if k == count - 1 else None,
                   "details": {"finish_reason": "length", "generated_tokens": count, "input_length": 5}
                   if k == count - 1 and parameters.get("details") else None} for k, piece in enumerate(pieces)]
        return 200, SSE, [b"data:" + json.dumps(event).encode() + b"\n\n" for event in events]
    raise Refusal(404, b"", TEXT)


def tei(model_type):
    own = {"embedding": "/embed", "reranker": "/rerank", "classifier": "/predict"}[model_type]
    pair = {"type": "object", "required": ["query", "texts"],
            "properties": {"query": {"type": "string"}, "texts": {"type": "array", "items": {"type": "string"}}}}

    def answer(method, path, body, headers):
        if (method, path) == ("GET", "/api-doc/openapi.json"):
            return good(document({"/embed": operation(INPUTS), "/embed_all": operation(INPUTS), "/rerank": operation(pair),
                                  "/predict": operation(INPUTS), "/tokenize": operation(INPUTS),
                                  "/info": {"get": {"responses": {"200": {"content": {JSON: {"schema": {}}}}}}}}))
        if (method, path) == ("GET", "/info"):
            return good({"model_id": "org/tiny", "model_sha": "1", "model_dtype": "float32", "model_type": {model_type: {}},
                         "max_concurrent_requests": 512, "max_input_length": 512, "version": "1.6.0"})
        if method == "POST" and path in ("/embed", "/embed_all", "/rerank", "/predict"):
            wanted(path == own, f"model is no {path}", 424)
            asked = read(body)
            if path == "/rerank":
                wanted(isinstance(asked.get("query"), str) and len(asked.get("texts") or []) > 0, "no texts", 422)
                return good([{"index": k, "score": len(asked["query"]) / (k + 1)} for k in range(len(asked["texts"]))])
            wanted(isinstance(asked.get("inputs"), str), "missing field `inputs`", 422)
            if path == "/predict":
                return good([{"score": len(asked["inputs"]) / 100, "label": "calm"}])
            return good([[ord(c) / 255 for c in asked["inputs"][:16]]])
        if (method, path) == ("POST", "/tokenize"):
            return good([[{"id": 1}]])
        raise Refusal(404, b"", TEXT)

    return answer


# Models by their path.


def tensorflow(metrics=True):
    spec = {"inputs": {"x": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1", "name": ""}, {"size": "3", "name": ""}],
                                                                   "unknown_rank": False}, "name": "x:0"}},
            "outputs": {}, "method_name": "tensorflow/serving/predict"}
    load = ':tensorflow:cc:saved_model:load_attempt_count{model_path="/models/half_plus_two/1",status="success"} 1\n'

    def answer(method, path, body, headers):
        if not path.startswith("/v1/"):
            if metrics and path == "/monitoring/prometheus/metrics":
                return 200, TEXT, load.encode()
            raise Refusal(404, b"<HTML><HEAD><TITLE>404 Not Found</TITLE></HEAD></HTML>", "text/html")
        if (method, path) == ("GET", "/v1/models/half_plus_two"):
            return good({"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK"}}]})
        if (method, path) == ("GET", "/v1/models/half_plus_two/metadata"):
            return good({"model_spec": {"name": "half_plus_two", "version": "1"},
                         "metadata": {"signature_def": {"signature_def": {"serving_default": spec}}}})
        if (method, path) == ("POST", "/v1/models/half_plus_two:predict"):
            rows = read(body).get("instances")
            wanted(rows and all(isinstance(row, list) and len(row) == 3 for row in rows), "shape")
            return good({"predictions": [[x / 2 + 2 for x in row] for row in rows]})
        if (method, path) == ("GET", "/v1/models"):
            raise Refusal(400, {"error": "Missing model name in request."})
        raise Refusal(404, {"error": f"Malformed request: {method} {path}"})

    return answer


def torchserve(method, path, body, headers):
    if (method, path) == ("OPTIONS", "/"):
        return good(document({"/ping": {"get": {"responses": {"200": {}}}}, "/predictions/{model_name}": {"post": {
            "parameters": [{"in": "path", "name": "model_name", "required": True, "schema": {"type": "string"}}],
            "requestBody": {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}, "required": True},
            "responses": {"200": {}}}}}, "TorchServe APIs"))
    if (method, path) == ("GET", "/ping"):
        return good({"status": "Healthy"})
    if path == "/predictions/resnet":
        if not body.startswith(b"\x89PNG"):
            raise Refusal(503, {"code": 503, "type": "InternalServerException", "message": "Prediction failed"})
        return good({"tabby": sum(body) % 997 / 997, "tiger_cat": 0.1})
    if path == "/":
        raise Refusal(405, {"code": 405, "type": "MethodNotAllowedException", "message": "Requested method is not allowed"})
    raise Refusal(404, {"code": 404, "type": "ResourceNotFoundException", "message": "Requested resource is not found"})


def sagemaker(method, path, body, headers):
    if (method, path) == ("GET", "/ping"):
        return 200, JSON, b"\n"
    if path == "/invocations":
        wanted(method == "POST", "method", 405)
        if headers.get("content-type") != "text/csv":
            raise Refusal(415, b"This predictor only supports CSV data", TEXT)
        row = [float(value) for value in body.decode().split(",")]
        return 200, "text/csv", b"%f" % sum(row)
    raise Refusal(404, b"<html>404</html>", "text/html")


def mlflow(columns, described=False):
    none = {"responses": {"200": {"content": {JSON: {"schema": {}}}}}}

    def answer(method, path, body, headers):
        if described and (method, path) == ("GET", "/openapi.json"):
            paths = {"/ping": {"get": none}, "/version": {"get": none}, "/invocations": {"post": none}}
            return good(document(paths, "FastAPI"))
        if (method, path) == ("GET", "/ping"):
            return 200, JSON, b"\n"
        if (method, path) == ("GET", "/version"):
            return 200, TEXT, b"2.14.1"
        if path == "/invocations":
            wanted(method == "POST", "method", 405)
            asked = read(body)
            if columns:
                table = asked.get("dataframe_split") or {}
                missing = [name for name in columns if name not in table.get("columns", [])]
                if missing:
                    raise Refusal(400, {"error_code": "BAD_REQUEST", "message":
                                        f"Failed to enforce schema. Error: Model is missing inputs {missing}."})
                return good({"predictions": [sum(row) for row in table["data"]]})
            if "inputs" not in asked and "instances" not in asked:
                raise Refusal(400, {"error_code": "BAD_REQUEST", "message": "The input must be a JSON dictionary with exactly one "
                                    "of the input fields {'instances', 'dataframe_split', 'inputs', 'dataframe_records'}"})
            return good({"predictions": [sum(row) for row in asked.get("inputs") or asked["instances"]]})
        raise Refusal(404, b"<html>404</html>", "text/html")

    return answer


def kserve_v1(method, path, body, headers):
    if (method, path) == ("GET", "/v1/models"):
        return good({"models": ["iris"]})
    if (method, path) == ("POST", "/v1/models/iris:predict"):
        rows = read(body).get("instances")
        wanted(rows and all(isinstance(row, list) and len(row) == 4 for row in rows), 'Expected key "instances" in request body')
        return good({"predictions": [sum(row) for row in rows]})
    raise Refusal(404, {"error": "Not Found"})


def cog(method, path, body, headers):
    status = {"type": "string", "enum": ["starting", "processing", "succeeded", "canceled", "failed"]}
    request = {"type": "object", "properties": {
        "input": {"type": "object", "required": ["prompt"], "properties": {
            "prompt": {"type": "string", "x-order": 0}, "steps": {"type": "integer", "default": 5, "x-order": 1}}},
        "id": {"type": "string"}, "webhook": {"type": "string", "format": "uri"},
        "webhook_events_filter": {"type": "array", "items": {"type": "string"}}}}
    answered = {JSON: {"schema": {"type": "object", "properties": {"status": status, "output": {"type": "string"}}}}}
    if (method, path) == ("GET", "/openapi.json"):
        found = {"200": {"content": {JSON: {"schema": {}}}}}
        return good(document({
            "/": {"get": {"responses": found}}, "/health-check": {"get": {"responses": found}},
            "/shutdown": {"post": {"responses": found}}, "/predictions": operation(request, answered),
            "/predictions/{prediction_id}": {"put": {"responses": found}},
            "/predictions/{prediction_id}/cancel": {"post": {"responses": found}}}, "Cog"))
    if (method, path) == ("GET", "/"):
        return good({"docs_url": "/docs", "openapi_url": "/openapi.json", "predictions_url": "/predictions"})
    if (method, path) == ("GET", "/health-check"):
        return good({"status": "READY", "setup": {"status": "succeeded"}})
    if (method, path) == ("POST", "/predictions"):
        given = read(body).get("input") or {}
        wanted(isinstance(given.get("prompt"), str), [{"loc": ["body", "input", "prompt"], "msg": "field required"}], 422)
        return good({"status": "succeeded", "output": given["prompt"][::-1], "input": given})
    raise Refusal(404, {"detail": "Not Found"})


def litserve(method, path, body, headers):
    found = {"200": {"content": {JSON: {"schema": {}}}}}
    if (method, path) == ("GET", "/openapi.json"):
        return good(document({"/health": {"get": {"responses": found}}, "/info": {"get": {"responses": found}},
                              "/predict": {"post": {"responses": found}}}, "FastAPI"))
    if (method, path) == ("GET", "/health"):
        return 200, TEXT, b"ok"
    if (method, path) == ("GET", "/info"):
        return good({"model": None, "server": {"devices": ["cpu"], "workers_per_device": 1}})
    if (method, path) == ("POST", "/predict"):
        value = read(body).get("input")
        if not isinstance(value, float):
            raise Refusal(500, b"Internal Server Error", TEXT)
        return good({"output": value**2})
    raise Refusal(404, {"detail": "Not Found"})


def bentoml(method, path, body, headers):
    schema = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "title": "Text"}}}
    if (method, path) == ("GET", "/docs.json"):
        return good(document({"/summarize": operation(schema, {TEXT: {"schema": {"type": "string"}}}),
                              "/healthz": {"get": {"responses": {"200": {}}}}}, "Summarization"))
    if (method, path) == ("GET", "/healthz"):
        return 200, TEXT, b""
    if (method, path) == ("POST", "/summarize"):
        asked = read(body)
        wanted(isinstance(asked.get("text"), str), "validation error")
        return 200, TEXT, asked["text"][:20].encode()
    raise Refusal(404, b"Not Found", TEXT)


def ray(described):
    def answer(method, path, body, headers):
        if (method, path) == ("GET", "/-/routes"):
            return good({"/speak": "default"})
        if described and (method, path) == ("GET", "/speak/openapi.json"):
            schema = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
            return good(document({"/translate": operation(schema, {TEXT: {"schema": {"type": "string"}}})}))
        if path == ("/speak/translate" if described else "/speak"):
            asked = read(body)
            if not isinstance(asked.get("text"), str):
                raise Refusal(500, b"Internal Server Error", TEXT)
            return 200, TEXT, asked["text"][::-1].encode()
        raise Refusal(404, f"Path '{path}' not found. Ping http://.../-/routes for available routes.".encode(), TEXT)

    return answer


def gradio(prefix):
    function = {"parameters": [
        {"label": "name", "parameter_name": "name", "parameter_has_default": False, "parameter_default": None,
         "type": {"type": "string"}, "python_type": {"type": "str"}, "component": "Textbox", "example_input": "Hello!!"},
        {"label": "steps", "parameter_name": "steps", "parameter_has_default": False, "parameter_default": None,
         "type": {"type": "number"}, "python_type": {"type": "float"}, "component": "Slider", "example_input": 3}],
        "returns": [{"label": "output", "type": {"type": "string"}, "component": "Textbox"}], "api_visibility": "public"}

    def answer(method, path, body, headers):
        if (method, path) == ("GET", "/"):
            page = f'<html><script>window.gradio_config = {{"version":"5","api_prefix":"{prefix}"}};</script></html>'
            return 200, "text/html", page.encode()
        if (method, path) == ("GET", f"{prefix}/info"):
            return good({"named_endpoints": {"/greet": function}, "unnamed_endpoints": {}})
        if (method, path) == ("POST", f"{prefix}/run/greet"):
            name, steps = (read(body).get("data") or [None, None])[:2]
            wanted(isinstance(name, str) and isinstance(steps, (int, float)), "needed argument", 500)
            return good({"data": [f"{name}{steps}"], "is_generating": False, "duration": 0.1})
        raise Refusal(404, {"detail": "Not Found"})

    return answer


# Sound and pictures of the OpenAI API.


def openai(models, works):
    def answer(method, path, body, headers):
        if (method, path) == ("GET", "/v1/models"):
            return good({"object": "list", "data": [{"id": name, "object": "model"} for name in models]})
        if method != "POST" or not path.startswith("/v1/"):
            raise Refusal(404, {"detail": "Not Found"})
        if path not in works:
            if not path.startswith(("/v1/audio/", "/v1/images/")):
                raise Refusal(404, {"detail": "Not Found"})
            # As servers do that have these endpoints whatever model they serve.
            raise Refusal(400, {"error": {"message": "The model does not support this API", "type": "BadRequestError"}})
        if path == "/v1/audio/transcriptions":
            part = re.search(rb'name="file"; filename="[^"]+\.wav"\r\nContent-Type: audio/wav\r\n\r\nRIFF(....)WAVEfmt ', body, re.S)
            model = re.search(rb'name="model"\r\n\r\nwhisper-tiny\r\n', body)
            wanted(part and model, {"message": "file is missing", "type": "invalid_request_error"})
            return good({"text": f"sound of {int.from_bytes(part[1], 'little')} bytes"})
        asked = read(body)
        wanted(asked.get("model") in models, {"message": "no such model", "type": "invalid_request_error"})
        if path == "/v1/audio/speech":
            wanted(asked.get("input") and asked.get("voice"), {"message": "voice", "type": "invalid_request_error"})
            return 200, "audio/mpeg", b"\xff\xfb\x90" + asked["input"].encode() * 8
        if path == "/v1/images/generations":
            wanted(asked.get("prompt"), {"message": "prompt", "type": "invalid_request_error"})
            return good({"created": 1, "data": [{"b64_json": base64.b64encode(asked["prompt"].encode()).decode()}]})
        wanted(asked.get("messages"), {"message": "messages", "type": "invalid_request_error"})
        return good({"choices": [{"message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]})

    return answer


SHAPES = {
    # Server, name in its `Server` header, path of the URL, the endpoint that does the work.
    "ollama": (ollama, "", "", ("POST /api/chat", "POST /api/generate")),
    "llama.cpp": (llama_cpp, "llama.cpp", "", ("POST /completion",)),
    "tgi": (tgi, "", "", ("POST /generate",)),
    "tei embed": (tei("embedding"), "", "", ("POST /embed",)),
    "tei rerank": (tei("reranker"), "", "", ("POST /rerank",)),
    "tei predict": (tei("classifier"), "", "", ("POST /predict",)),
    "tensorflow": (tensorflow(), "", "", ("POST /v1/models/half_plus_two:predict",)),
    "tensorflow by name": (tensorflow(False), "", "/v1/models/half_plus_two", ("POST /v1/models/half_plus_two:predict",)),
    "torchserve by name": (torchserve, "", "/predictions/resnet", ("POST /predictions/resnet",)),
    "sagemaker": (sagemaker, "gunicorn", "", ("POST /invocations",)),
    "mlflow": (mlflow([]), "gunicorn", "", ("POST /invocations",)),
    "mlflow with columns": (mlflow(["alcohol", "ash"]), "gunicorn", "", ("POST /invocations",)),
    "mlflow 3": (mlflow([], True), "uvicorn", "", ("POST /invocations",)),
    "mlflow 3 with columns": (mlflow(["alcohol", "ash"], True), "uvicorn", "", ("POST /invocations",)),
    "kserve v1": (kserve_v1, "", "", ("POST /v1/models/iris:predict",)),
    "cog": (cog, "uvicorn", "", ("POST /predictions",)),
    "litserve": (litserve, "uvicorn", "", ("POST /predict",)),
    "bentoml": (bentoml, "uvicorn", "", ("POST /summarize",)),
    "ray": (ray(False), "uvicorn", "", ("POST /speak",)),
    "ray with a document": (ray(True), "uvicorn", "", ("POST /speak/translate",)),
    "gradio": (gradio("/gradio_api"), "uvicorn", "", ("POST /gradio_api/run/greet",)),
    "gradio 4": (gradio(""), "uvicorn", "", ("POST /run/greet",)),
    "whisper": (openai(["whisper-tiny"], ["/v1/audio/transcriptions"]), "", "", ("POST /v1/audio/transcriptions",)),
    "speech": (openai(["kokoro"], ["/v1/audio/speech"]), "", "", ("POST /v1/audio/speech",)),
    "pictures": (openai(["flux-tiny"], ["/v1/images/generations"]), "", "", ("POST /v1/images/generations",)),
}


# Documented beside the work of TGI and TEI, and no work.
HELPERS = {"POST /tokenize"}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_work_is_found_by_the_url_alone(prony, shape):
    """A run asks the endpoint that does the work with requests that the server answers well, and infers nowhere else."""
    server, name, path, main = SHAPES[shape]
    with serving(server, name or "test") as (url, asked):
        done = prony("check", f"{url}{path}", "--quick", "--only", "coverage")
    done.ended(0, 2)
    assert not asked.harm, asked.harm
    answered = {one for one in asked.good if one.startswith("POST ")} - HELPERS
    assert answered == set(main), done
    assert all(asked.good.count(endpoint) >= 3 for endpoint in main), asked.good


@pytest.mark.parametrize(
    ("shape", "protocol"), [("ollama", "ollama"), ("llama.cpp", "llamacpp-completion"), ("tgi", "tgi-generate")]
)
def test_a_stream_is_read_as_a_stream(prony, shape, protocol):
    with serving(SHAPES[shape][0]) as (url, asked):
        done = prony("load", url, "--stream", protocol, "--model", "tiny:latest", "--max-tokens", 16, "-n", 20, "-c", 2)
    done.ended(0, 2)
    assert len(asked.good) == 20 and "TTFT" in done.text, done


def test_the_load_goes_to_the_work_and_it_is_asked_to_stream(prony, report, tmp_path):
    """Not to a helper beside it, though it is documented like the work; and at the path where the server streams."""
    with serving(tgi) as (url, asked):
        prony("check", url, "--quick", "--only", "streams", "-o", tmp_path / "out", timeout=120)
    assert not asked.harm, asked.harm
    assert asked.good.count("POST /generate_stream") > 20, asked.all
    sections = report(tmp_path / "out").data["sections"]
    phases = [phase for section in sections if section["experiment"] == "streams" for phase in section["phases"]]
    loaded = {row["scenario"] for phase in phases for row in phase["summary"]["rows"]}
    assert loaded == {"POST /generate"}


def test_what_cannot_be_made_up_is_said_with_what_to_type(prony):
    def closed(method, path, body, headers):
        if (method, path) == ("GET", "/ping"):
            return 200, TEXT, b""
        if path == "/invocations":
            raise Refusal(405 if method == "GET" else 400, b"a format of its own", TEXT)
        raise Refusal(404, b"no", TEXT)

    for server, typed in [
        (tensorflow(False), "prony check URL/v1/models/NAME"),
        (torchserve, "prony check URL/predictions/NAME"),
        (closed, "prony check URL/invocations -b"),
        (openai(["tiny"], ["/v1/chat/completions"]), "prony check URL/v1/audio/transcriptions -F file=@ -F model=NAME"),
    ]:
        with serving(server) as (url, asked):
            done = prony("check", url, "--quick", "--only", "coverage")
        assert typed in done.text, done
        assert not asked.harm, asked.harm


def test_a_target_that_is_none_of_these_is_asked_little_more(prony):
    """What this knowledge costs a stranger: requests at places that only these servers have."""
    places = ("/api-doc/openapi.json", "/api/tags", "/props", "/info", "/-/routes", "/invocations", "/version", "/gradio_api/info",
              "/v1/audio/transcriptions", "/v1/audio/speech", "/v1/images/generations", "/monitoring/prometheus/metrics")

    def plain(method, path, body, headers):
        if (method, path) == ("GET", "/"):
            return 200, TEXT, b"hello"
        raise Refusal(404, b"no such path", TEXT)

    with serving(plain) as (url, asked):
        prony("check", url, "--plan").ended(0)
    added = [one for one in asked.all if one.split(" ")[1] in places or one.startswith("OPTIONS")]
    assert len(added) <= 4, added
