"""KServe V2 over gRPC: the reference backend, a server on grpcio with Triton's own messages, and servers that break the protocol."""

import socket
import threading
from collections import Counter
from concurrent import futures

import grpc
import h2.config
import h2.connection
import h2.events
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc import service_pb2_grpc as service

from conftest import HERE, Report

TLS = HERE / "tls"

# What each fault of `Sums` must be called.
CALLED = {
    "good": "ok",
    "unavailable": "grpc-unavailable",
    "exhausted": "grpc-resource-exhausted",
    "deadline": "grpc-deadline-exceeded",
    "argument": "grpc-invalid-argument",
    "crash": "grpc-unknown",
    "short": "wrong-body",
    "renamed": "wrong-body",
    "retyped": "wrong-body",
}
CODES = {
    "unavailable": grpc.StatusCode.UNAVAILABLE,
    "exhausted": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "deadline": grpc.StatusCode.DEADLINE_EXCEEDED,
    "argument": grpc.StatusCode.INVALID_ARGUMENT,
}


class Sums(service.GRPCInferenceServiceServicer):
    """A model that sums rows, good and with faults, each under its own name. It counts what it was asked."""

    def __init__(self):
        self.asked, self.sums = Counter(), set()

    def ServerLive(self, request, context):
        return messages.ServerLiveResponse(live=True)

    def ServerReady(self, request, context):
        return messages.ServerReadyResponse(ready=True)

    def ServerMetadata(self, request, context):
        return messages.ServerMetadataResponse(name="sums", version="1")

    def ModelReady(self, request, context):
        return messages.ModelReadyResponse(ready=request.name != "unavailable")

    def RepositoryIndex(self, request, context):
        return messages.RepositoryIndexResponse(models=[messages.RepositoryIndexResponse.ModelIndex(name=name) for name in CALLED])

    def ModelMetadata(self, request, context):
        if request.name not in CALLED:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model {request.name}")
        tensor = messages.ModelMetadataResponse.TensorMetadata
        return messages.ModelMetadataResponse(
            name=request.name,
            inputs=[tensor(name="x", datatype="FP32", shape=[-1, 64]), tensor(name="label", datatype="BYTES", shape=[1])],
            outputs=[tensor(name="sum", datatype="FP32", shape=[-1]), tensor(name="label", datatype="BYTES", shape=[1])],
        )

    def ModelInfer(self, request, context):
        self.asked[request.model_name] += 1
        fault = request.model_name
        if fault in CODES:
            told = dict(context.invocation_metadata()).get("authorization", "")
            context.abort(CODES[fault], f"queue is full: 100 % {told}")
        if fault == "crash":
            raise ValueError("boom")
        assert [one.name for one in request.inputs] == ["x", "label"], request
        rows = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(request.inputs[0].shape)
        assert rows.shape == (1, 64), rows.shape
        total = rows.sum(axis=-1)
        self.sums.add(float(total[0]))
        tensor = messages.ModelInferResponse.InferOutputTensor
        raw = total.tobytes()
        return messages.ModelInferResponse(
            model_name=fault,
            outputs=[
                tensor(name="total" if fault == "renamed" else "sum", datatype="INT32" if fault == "retyped" else "FP32", shape=[1]),
                tensor(name="label", datatype="BYTES", shape=[1]),
            ],
            raw_output_contents=[raw[:-1] if fault == "short" else raw, request.raw_input_contents[1]],
        )


@pytest.fixture
def sums():
    """The good server: `sums.url`, `sums.over_tls`, `sums.asked`."""
    servicer = Sums()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    service.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    servicer.url = f"grpc://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    pem = (TLS / "server.pem").read_bytes()
    secure = grpc.ssl_server_credentials([(pem, pem)])
    servicer.over_tls = f"grpcs://127.0.0.1:{server.add_secure_port('127.0.0.1:0', secure)}"
    server.start()
    yield servicer
    server.stop(None).wait()


def load(prony, url, *flags, n=12, c=2):
    """Outcomes of a load, with what was said of the first of each."""
    done = prony("load", url, "-c", c, "-n", n, "--json", *flags)
    told = done.json() if done.out.strip() else {"outcomes": []}
    return done, {one["outcome"]: (one["n"], one["first_error"] or "") for one in told["outcomes"]}


@pytest.mark.parametrize("model", CALLED)
def test_every_end_of_a_call_has_its_name(sums, prony, model):
    done, outcomes = load(prony, f"{sums.url}/{model}")
    assert list(outcomes) == [CALLED[model]], done
    assert outcomes[CALLED[model]][0] == sums.asked[model] == 12
    done.ended(0 if model == "good" else 1)
    said = outcomes[CALLED[model]][1]
    if model in CODES:
        assert "queue is full: 100 %" in said
    if model == "good":
        assert len(sums.sums) == 6, "requests take different contents in turn"
    assert ("not ready" in done.err) == (model == "unavailable"), done


def test_many_calls_share_a_connection(sums, prony):
    done, outcomes = load(prony, f"{sums.url}/good", "--streams", 8, n=400)
    assert outcomes["ok"][0] == 400 and done.json()["transfer"]["connections"] == 2, done


def test_over_tls(sums, prony):
    trusted = ["--cacert", TLS / "authority.pem", "--server-name", "app.test"]
    done, outcomes = load(prony, f"{sums.over_tls}/good", *trusted)
    assert outcomes == {"ok": (12, "")}, done
    plain = prony("load", f"{sums.over_tls.replace('grpcs', 'grpc')}/good", "-n", 1)
    assert plain.code == 69 and "grpcs://" in plain.err, plain
    unknown = prony("load", f"{sums.over_tls}/good", "-n", 1)
    assert unknown.code == 69 and "--cacert" in unknown.err, unknown


def test_a_secret_that_is_repeated_is_masked(sums, prony):
    secret = "sk-4f1c9a2b77d0"
    done = prony("load", f"{sums.url}/argument", "-n", 4, "--json", "--bearer-env", "MY_TOKEN", env={"MY_TOKEN": secret})
    assert done.json()["outcomes"][0]["first_error"].startswith("INVALID_ARGUMENT: queue is full: 100 % ***"), done
    assert secret not in done.text, done


def test_what_is_not_there_is_said_with_what_is(sums, prony, closed_port, backend):
    wrong = prony("load", f"{sums.url}/goof", "-n", 1)
    assert wrong.code == 69 and "NOT_FOUND" in wrong.err and "good" in wrong.err, wrong
    several = prony("load", sums.url, "-n", 1)
    assert several.code == 64 and "9 models" in several.err and "renamed" in several.err, several
    nobody = prony("load", f"grpc://127.0.0.1:{closed_port}/good", "-n", 1)
    assert nobody.code == 69 and "start the backend, or check host and port" in nobody.err, nobody
    plain = backend("vision-fixed").url.replace("http:", "grpc:")
    other = prony("load", f"{plain}/yolo11_nano", "-n", 1)
    assert other.code == 69 and "port for gRPC is another" in other.err, other
    body = prony("load", f"{sums.url}/good", "-b", "{}", "-n", 1)
    assert body.code == 64 and "--body" in body.err, body
    checked = prony("check", f"{sums.url}/a/b/c")
    assert checked.code == 64 and "names no model" in checked.err, checked
    assert not sums.asked


def test_a_suite_sends_it_and_keeps_what_came(sums, prony, tmp_path):
    suite = tmp_path / "suite.toml"
    suite.write_text(f"""
name = "grpc"
[target]
url = "{sums.url}"
[[scenario]]
name = "sums"
kserve = {{ model = "good", contents = 3, outputs = ["sum"] }}
[[scenario]]
name = "full"
kserve = {{ model = "unavailable", inputs = [{{ name = "x", datatype = "FP32", shape = [1, 64] }}] }}
[[phase]]
name = "all"
scenarios = ["sums", "full"]
shape.sequential = {{ requests = 40 }}
capture = {{ responses_max = 20, body_bytes_max = 4096 }}
[[gate]]
phase = "all"
scenario = "sums"
check = "error_rate < 0.5"
[[gate]]
phase = "all"
scenario = "full"
check = "error_rate < 0.5"
""")
    done = prony("run", suite, "-o", tmp_path / "out").ended(1)
    rows = {(row["scenario"], row["outcome"]): row["n"] for row in Report(tmp_path / "out").phases()[0]["rows"]}
    assert rows == {("sums", "ok"): 20, ("full", "grpc-unavailable"): 20}, (rows, done)
    # A phase on a busy machine may be sent again.
    assert sums.asked["good"] == sums.asked["unavailable"] in (20, 40, 60), sums.asked
    assert len(sums.sums) == 3
    assert "grpc-unavailable" in Report(tmp_path / "out").markdown, done


def test_the_reference_backend_over_both_protocols(backend, prony):
    """The same model over gRPC and over HTTP: the same number of answers, each held against what the model declares."""
    vision = backend("vision-fixed", "preload=yolo11_nano", "load_scale=0.01", "service_scale=0.02", "service_sigma=0")
    over_grpc = vision.beside["grpc"].replace("http:", "grpc:")
    done, outcomes = load(prony, over_grpc, "--kserve", "yolo11_nano", n=24)
    assert outcomes == {"ok": (24, "")}, done
    done, outcomes = load(prony, vision.url, "--kserve", "yolo11_nano", n=24)
    assert outcomes == {"ok": (24, "")}, done
    pair = prony("compare", vision.url, over_grpc, "--kserve", "yolo11_nano", "--pairs", 5, "-d", "300ms", "--warm-up", "50ms")
    assert pair.code in (0, 1, 2, 3, 4) and "grpc://" in pair.text, pair


def test_check_finds_the_models(sums, prony, tmp_path):
    done = prony("check", f"{sums.url}/good", "--quick", "--only", "coverage,diversity", "-o", tmp_path / "out").ended(0, 2)
    found = Report(tmp_path / "out")
    assert "ModelInfer good" in found.markdown and not found.findings("fail"), done
    refused = prony("check", f"{sums.url}/unavailable", "--quick", "--only", "coverage", "-o", tmp_path / "full").ended(1)
    assert "UNAVAILABLE" in Report(tmp_path / "full").markdown, refused


class Crooked:
    """A server of frames by hand. What is asked before the load it answers well; `ModelInfer` as `act(connection, stream)` does."""

    def __init__(self, act, shape=(4,), outputs=0):
        tensor = messages.ModelMetadataResponse.TensorMetadata
        self.act, self.metadata = act, messages.ModelMetadataResponse(
            name="m", inputs=[tensor(name="x", datatype="INT8", shape=shape)], outputs=[tensor()] * outputs
        )
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"grpc://127.0.0.1:{self.listener.getsockname()[1]}/m"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        paths = {}
        with peer:
            try:
                peer.sendall(connection.data_to_send())
                while data := peer.recv(65536):
                    for event in connection.receive_data(data):
                        if isinstance(event, h2.events.RequestReceived):
                            paths[event.stream_id] = dict(event.headers)[":path"]
                        elif isinstance(event, h2.events.StreamEnded):
                            self.answer(connection, event.stream_id, paths.pop(event.stream_id))
                    peer.sendall(connection.data_to_send())
                    if connection.state_machine.state is h2.connection.ConnectionState.CLOSED:
                        return
            except OSError:
                return

    def answer(self, connection, stream, path):
        method = path.rsplit("/", 1)[1]
        if method == "ModelInfer":
            return self.act(connection, stream)
        message = {
            "ServerLive": messages.ServerLiveResponse(live=True),
            "ModelReady": messages.ModelReadyResponse(ready=True),
            "ModelMetadata": self.metadata,
            "RepositoryIndex": messages.RepositoryIndexResponse(),
        }[method]
        head(connection, stream)
        connection.send_data(stream, framed(message.SerializeToString()))
        connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)

    def end(self):
        self.listener.close()


@pytest.fixture
def crooked():
    """Starts such servers: `crooked(act)`."""
    started = []

    def crooked(*args, **rest):
        started.append(Crooked(*args, **rest))
        return started[-1]

    yield crooked
    for one in started:
        one.end()


def head(connection, stream, content_type="application/grpc"):
    connection.send_headers(stream, [(":status", "200"), ("content-type", content_type)])


def framed(message, declared=None):
    length = len(message) if declared is None else declared
    return bytes([0]) + length.to_bytes(4, "big") + message


def good():
    tensor = messages.ModelInferResponse.InferOutputTensor(name="y", datatype="INT8", shape=[300])
    return framed(messages.ModelInferResponse(outputs=[tensor], raw_output_contents=[bytes(300)]).SerializeToString())


def pieces(connection, stream):
    """A good answer, a byte in each frame, and an empty one after the message's frame."""
    head(connection, stream)
    for byte in good():
        connection.send_data(stream, bytes([byte]))
    connection.send_data(stream, b"")
    connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)


def twice(connection, stream):
    head(connection, stream)
    connection.send_data(stream, good() * 2)
    connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)


def compressed(connection, stream):
    head(connection, stream)
    connection.send_data(stream, b"\x01" + good()[1:])
    connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)


def changes_its_mind(connection, stream):
    """A good head and a good message, and then it was none."""
    connection.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "0")])
    connection.send_data(stream, good())
    connection.send_headers(stream, [("grpc-status", "13"), ("grpc-message", "late")], end_stream=True)


def alone(connection, stream):
    """Trailers and nothing else, with words that would colour a terminal and turn what follows around."""
    said = "%1b[31mred%0aline %e2%80%ae" + "x" * 5000
    fields = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "8"), ("grpc-message", said)]
    connection.send_headers(stream, fields, end_stream=True)


def a_code_of_its_own(connection, stream):
    head(connection, stream)
    connection.send_headers(stream, [("grpc-status", "99")], end_stream=True)


def proxy(connection, stream):
    connection.send_headers(stream, [(":status", "503"), ("content-type", "application/grpc"), ("grpc-status", "14")], end_stream=True)


def silent(connection, stream):
    pass


def stalls(connection, stream):
    head(connection, stream)
    connection.send_data(stream, good()[:9])


def page(connection, stream):
    head(connection, stream, "text/html")
    connection.send_data(stream, b"<html><body>It works!</body></html>", end_stream=True)


def no_trailers(connection, stream):
    head(connection, stream)
    connection.send_data(stream, framed(b""), end_stream=True)


def closes(connection, stream):
    head(connection, stream)
    connection.send_data(stream, framed(b"abc", 100))
    connection.close_connection()


def half(connection, stream):
    head(connection, stream)
    connection.send_data(stream, framed(b"abc", 100))
    connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)


def vast(connection, stream):
    head(connection, stream)
    connection.send_data(stream, framed(b"abc", 2**32 - 1))
    connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)


def packed(connection, stream):
    """Very many outputs of two bytes each: read, they would take a hundred times as much."""
    head(connection, stream)
    connection.send_data(stream, framed(b"\x2a\x00" * 8000))
    connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)


def words(connection, stream):
    head(connection, stream)
    connection.send_headers(stream, [("grpc-status", "fine")], end_stream=True)


def resets(connection, stream):
    connection.reset_stream(stream, 7)


@pytest.mark.parametrize(
    "act, outcome, said",
    [
        (pieces, "ok", ""),
        (twice, "trailing-bytes", "follow the message"),
        (compressed, "wrong-body", "compressed"),
        (changes_its_mind, "grpc-internal", "INTERNAL: late"),
        (alone, "grpc-resource-exhausted", "RESOURCE_EXHAUSTED: [31mredline xxx"),
        (a_code_of_its_own, "grpc-unknown", "code 99"),
        (proxy, "status-503", ""),
        (silent, "headers-timeout", ""),
        (stalls, "body-timeout", ""),
        (page, "wrong-body", "text/html"),
        (no_trailers, "truncated", "without the trailers"),
        (closes, "reset", "the peer closed it"),
        (half, "truncated", "3 of its 100"),
        (vast, "truncated", "4294967295"),
        (packed, "wrong-body", "at most 1024 are read"),
        (words, "wrong-body", "no number"),
        (resets, "reset", "REFUSED_STREAM"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_a_server_does_has_its_name(prony, crooked, act, outcome, said):
    limit = ["--timeout", "300ms"] if outcome.endswith("timeout") else []
    done, outcomes = load(prony, crooked(act).url, *limit, n=3, c=1)
    assert list(outcomes) == [outcome] and outcomes[outcome][0] == 3, done
    assert said in outcomes[outcome][1] and len(outcomes[outcome][1]) < 300, done
    assert "\x1b" not in done.text and "\u202e" not in done.text, done
    done.ended(0 if outcome == "ok" else 1)
    assert done.rss_max_mib < 200, done


@pytest.mark.parametrize(
    "declared, said",
    [({"shape": (2**40, 2**40)}, "too large to be made up"), ({"outputs": 5000}, "at most 1024 are read")],
    ids=["vast", "many"],
)
def test_a_declaration_that_no_memory_holds_is_refused(prony, crooked, declared, said):
    done = prony("load", crooked(silent, **declared).url, "-n", 1)
    assert done.code in (64, 69) and said in done.err, done
    assert done.rss_max_mib < 200, done
