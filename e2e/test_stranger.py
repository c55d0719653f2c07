"""What a stranger points the tool at: small servers of the standard library, written here, each with one trait."""

import hashlib
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PASS, FAIL, WARN, INCONCLUSIVE = 0, 1, 2, 3


@contextmanager
def serving(answer):
    """A server whose `answer(method, path, body)` gives status, content type and bytes."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self):
            length = int(self.headers.get("content-length") or 0)
            status, kind, body = answer(self.command, self.path, self.rfile.read(length))
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = reply

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def scorer(good):
    """Front page, health, and one endpoint that takes `{"text": ...}`, which no document names."""

    def answer(method, path, body):
        if (method, path) == ("GET", "/"):
            return 200, "application/json", b'{"endpoints": ["/health", "POST /score"]}'
        if (method, path) == ("GET", "/health"):
            return 200, "application/json", b'{"status": "ok"}'
        if (method, path) != ("POST", "/score"):
            return 404, "application/json", b'{"error": "no such path"}'
        try:
            text = json.loads(body)["text"]
            assert isinstance(text, str) and text
        except (ValueError, KeyError, TypeError, AssertionError):
            return 400, "application/json", b'{"error": "text is missing"}'
        return 200, "application/json", good(text)

    return answer


def score(text):
    return json.dumps({"score": sum(map(ord, text)) / 1000, "words": text.split()}).encode()


def check(prony, report, out, *args, budget=("--quick",)):
    done = prony("check", *args, *budget, "-o", out, timeout=180)
    return done, {entry["finding"]["id"]: entry["finding"] for entry in report(out).data["findings"]}


def test_a_front_page_is_no_work_and_what_it_names_is_told(prony, report, tmp_path):
    with serving(scorer(score)) as url:
        done, found = check(prony, report, tmp_path / "out", url, "--only", "coverage")
    done.ended(INCONCLUSIVE)
    assert found["nothing-to-measure"]["verdict"] == "inconclusive"
    assert "/score" in found["nothing-to-measure"]["detail"]


def test_an_endpoint_that_no_document_names_is_told_by_a_body(prony, report, tmp_path):
    body = json.dumps({"text": "a word"})
    with serving(scorer(score)) as url:
        done, found = check(prony, report, tmp_path / "a", f"{url}/score", "-b", body, "--only", "diversity,input-validation")
        done.ended(PASS, WARN)
        assert found["diversity"]["title"] == "The answers depend on 1 of the 1 inputs that could be judged"
        assert "bad inputs" in found["input-validation"]["title"]
    with serving(scorer(lambda text: b'{"score": 0.5, "label": "calm", "model": "v1", "version": "2024-03"}')) as url:
        done, found = check(prony, report, tmp_path / "b", f"{url}/score", "-b", body, "--only", "diversity")
        done.ended(FAIL)
        assert found["input-ignored"]["title"] == "The answer of POST /score does not depend on `text`"


def test_a_form_with_a_picture_is_told_by_its_fields(prony, report, tmp_path):
    def answer(method, path, body):
        if (method, path) == ("POST", "/classify"):
            picture = b'name="image"' in body and b"\x89PNG" in body and b'name="top"\r\n\r\n2' in body
            return (200, "application/json", b'{"label": "cat"}') if picture else (400, "application/json", b'{"error": "no"}')
        return 404, "text/plain", b"no such path"

    with serving(answer) as url:
        done, found = check(
            prony, report, tmp_path / "out", f"{url}/classify", "-F", "image=@", "-F", "top=2", "--only", "coverage"
        )
    done.ended(PASS)
    assert found["coverage"]["title"] == "1 of 1 endpoints answered correctly"


def test_answers_that_only_look_good_fail(prony, report, tmp_path):
    body = json.dumps({"text": "a word"})
    for name, good, wanted in [
        ("nan", b'{"score": NaN}', "not-json"),
        ("cut", b'{"score": 0.5, "words": [', "not-json"),
        ("error", b'{"error": "model is not loaded"}', "error-for-an-answer"),
    ]:
        with serving(scorer(lambda text, good=good: good)) as url:
            done, found = check(prony, report, tmp_path / name, f"{url}/score", "-b", body, "--only", "coverage")
        done.ended(FAIL)
        assert found[wanted]["verdict"] == "fail", name


def test_tiles_that_end_before_their_image_are_found_by_the_descriptor_that_a_listing_names(prony, report, tmp_path):
    descriptor = (
        b'<?xml version="1.0"?><Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="jpeg" Overlap="0" TileSize="256">'
        b'<Size Width="900" Height="700"/></Image>'
    )
    listing = {"openapi": "3.0.0", "paths": {"/maps": {"get": {"responses": {"200": {"description": "all"}}}}}}

    def answer(method, path, body):
        if path == "/openapi.json":
            return 200, "application/json", json.dumps(listing).encode()
        if path == "/maps":
            return 200, "application/json", b'[{"id": "a", "dzi": "/maps/a.dzi"}]'
        if path == "/maps/a.dzi":
            return 200, "application/xml", descriptor
        if path.startswith("/maps/a_files/10/"):
            return 200, "image/jpeg", b"\xff\xd8\xff\xe0 half of a picture"
        if path.startswith("/maps/a_files/"):
            return 200, "image/jpeg", b"\xff\xd8\xff\xe0 a picture \xff\xd9"
        return 404, "text/plain", b"no such path"

    with serving(answer) as url:
        done, found = check(prony, report, tmp_path / "out", url, "--only", "tiles")
    done.ended(FAIL)
    assert "end before their image does" in found["tile-cut-short"]["title"]


def test_a_target_that_answers_500_to_everything_fails(prony, report, tmp_path):
    with serving(lambda *_: (500, "text/plain", b"oops")) as url:
        done, found = check(prony, report, tmp_path / "out", url, "--only", "coverage,client-floor")
    done.ended(FAIL)
    assert found["endpoint-fails"]["title"] == "GET / gives no correct answer: 500"
    # What went to the generator's own null target is no answer of this one.
    assert report(tmp_path / "out").data["summary"]["ok"] == 0


def search(kept_by):
    """A search of 15 ms that a document describes, and that keeps its answers by those fields of a request."""
    document = {
        "openapi": "3.0.0",
        "info": {"title": "search", "version": "1"},
        "paths": {
            "/search": {
                "post": {
                    "requestBody": {
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "object",
                                    "required": ["query"],
                                    "properties": {
                                        "query": {"type": "string"},
                                        "hits": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
                                        "seed": {"type": "integer"},
                                        "style": {"type": "string", "enum": ["plain", "rich"]},
                                    },
                                }
                            }
                        }
                    },
                    "responses": {"200": {"description": "found"}},
                }
            }
        },
    }
    kept = {}

    def answer(method, path, body):
        if path == "/openapi.json":
            return 200, "application/json", json.dumps(document).encode()
        if (method, path) != ("POST", "/search"):
            return 404, "application/json", b'{"error": "no such path"}'
        try:
            asked = json.loads(body)
            query, hits, seed = asked["query"], asked.get("hits", 3), asked.get("seed", 0)
            assert isinstance(query, str) and 1 <= hits <= 9 and isinstance(seed, int)
        except (ValueError, KeyError, TypeError, AssertionError):
            return 422, "application/json", b'{"detail": "query is missing"}'
        key = tuple(json.dumps(asked.get(name)) for name in kept_by)
        if key not in kept:
            time.sleep(0.015)
            marks = [hashlib.md5(f"{query} {seed} {k}".encode()).hexdigest()[:8] for k in range(hits)]
            kept[key] = {"found": marks, "total": 12}
        return 200, "application/json", json.dumps({**kept[key], "took_ms": time.monotonic()}).encode()

    return answer


def test_a_cache_that_ignores_an_optional_field_is_found_and_a_field_without_effect_is_not_accused(prony, report, tmp_path):
    # How many inputs there is time for depends on the machine; `hits` is the first of them.
    with serving(search(["query"])) as url:
        done, found = check(prony, report, tmp_path / "a", url, "--only", "cache", budget=())
    done.ended(FAIL)
    accused = found["cache-key"]
    assert accused["verdict"] == "fail" and "ignores `hits`" in accused["title"] and "`style`" not in accused["title"], accused
    with serving(search(["query", "hits", "seed"])) as url:
        done, found = check(prony, report, tmp_path / "b", url, "--only", "cache", budget=())
    sound = found["cache-key"]
    assert sound["verdict"] == "pass" and "across values of `hits`" in sound["title"], sound


def test_load_on_a_tile_server_goes_to_its_tiles(prony, report, tmp_path):
    asked = []
    descriptor = (
        b'<?xml version="1.0"?><Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="jpeg" Overlap="1" TileSize="254">'
        b'<Size Width="40000" Height="30000"/></Image>'
    )

    def answer(method, path, body):
        if method == "GET" and path in ("/slide.dzi", "/slide/about"):
            asked.append(path)
            return (200, "application/xml", descriptor) if path.endswith("dzi") else (200, "application/json", b'{"by": "me"}')
        if method == "GET" and path.startswith("/slide_files/"):
            asked.append(path)
            return 200, "image/jpeg", b"\xff\xd8\xff\xe0 " + path.encode() + b"\xff\xd9"
        return 404, "text/plain", b"no such path"

    with serving(answer) as url:
        done, _ = check(prony, report, tmp_path / "out", f"{url}/slide.dzi", "--only", "ladder,burst")
    tiles = [path for path in asked if path.startswith("/slide_files/")]
    assert len({path.split("/")[2] for path in tiles}) >= 5 and len(set(tiles)) >= 150, sorted(set(tiles))
    loaded = [p for p in report(tmp_path / "out").phases() if p["experiment"] in ("ladder", "burst")]
    assert loaded and all(row["scenario"].startswith("GET /slide_files/") for p in loaded for row in p["rows"]), loaded


def test_nothing_is_posted_to_mcp_where_nothing_hints_at_it(prony, report, tmp_path):
    posts = []

    def answer(method, path, body):
        if method == "POST":
            posts.append(path)
        return scorer(score)(method, path, body)

    with serving(answer) as url:
        check(prony, report, tmp_path / "out", f"{url}/score", "-b", '{"text": "a word"}', "--only", "coverage")
    assert "/score" in posts and "/mcp" not in posts, posts
