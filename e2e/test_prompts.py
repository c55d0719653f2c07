"""What a server of a language model is really asked, seen by one that keeps every request."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import ROOT

DATA = ROOT / "suites" / "examples" / "data"
TOKENIZER = DATA / "tokenizer.json"


class Asked(ThreadingHTTPServer):
    """Keeps what it is asked and answers two tokens, as a stream where one is wanted."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked = []
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def bodies(self):
        return [body for _, _, body in self.asked]


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.asked.append((self.path, dict(self.headers), body))
        kind, text = self.answer(body)
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        self.send_response(404)
        self.send_header("content-length", "0")
        self.end_headers()

    def answer(self, body):
        if not body.get("stream"):
            return "application/json", b'{"choices":[{"message":{"content":"yes"}}],"data":[{"embedding":[0.5]}]}'
        if self.path.endswith("/messages"):
            events = [
                {"type": "message_start", "message": {"usage": {"input_tokens": 1, "output_tokens": 1}}},
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "yes"}},
                {"type": "content_block_stop", "index": 0},
                {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
                {"type": "message_stop"},
            ]
            text = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)
            return "text/event-stream", text.encode()
        chat = self.path.endswith("/chat/completions")
        said = [{"delta": {"content": word}} if chat else {"text": word} for word in ("yes", " no", "")]
        chunks = [
            {"choices": [{"index": 0, **what, "finish_reason": "stop" if k == 2 else None}]} for k, what in enumerate(said)
        ]
        chunks.append({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}})
        text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        return "text/event-stream", text.encode()

    def log_message(self, *_):
        pass


@pytest.fixture
def asked():
    server = Asked()
    yield server
    server.shutdown()
    server.server_close()


def contents(body):
    return [message["content"] for message in body["messages"]]


def test_the_one_liner(prony, asked):
    done = prony(
        "load", asked.url, "--openai", "m", "--prompt-tokens", "80", "--output-tokens", "9", "-c", "4", "-n", "24",
        "--tokenizer", TOKENIZER, "--shared-prefix", "60:3", "--prompts", "12", "--extra", '{"temperature":0}',
    ).ended(0)
    assert "12 prompts" in done.err and "counted by the tokenizer" in done.err, done
    assert {path for path, _, _ in asked.asked} == {"/v1/chat/completions"}
    bodies = asked.bodies()
    assert len(bodies) == 24
    # Each of the twelve twice.
    assert set(Counter(json.dumps(b, sort_keys=True) for b in bodies).values()) == {2}
    for body in bodies:
        assert (body["model"], body["max_tokens"], body["stream"], body["temperature"]) == ("m", 9, True, 0)
        assert body["stream_options"] == {"include_usage": True}
        assert [m["role"] for m in body["messages"]] == ["system", "user"]
    assert len({contents(b)[0] for b in bodies}) <= 3


def test_no_two_prompts_begin_alike_with_cache_bust(prony, asked):
    prony(
        "load", asked.url + "/v1/completions", "--openai", "m", "--api", "completions", "--prompt-tokens", "40",
        "-c", "2", "-n", "30", "--prompts", "2", "--cache-bust", "--tokenizer", TOKENIZER,
    ).ended(0)
    texts = [body["prompt"] for body in asked.bodies()]
    assert len(texts) == 30 and "{{" not in "".join(texts)
    assert len({text.split("]")[0] for text in texts}) == 30
    assert len({text.split("] ", 1)[1] for text in texts}) == 2


def test_embeddings_are_whole_answers(prony, asked):
    prony("load", asked.url, "--openai", "m", "--api", "embeddings", "-n", "4", "-c", "1", "--prompt-tokens", "20").ended(0)
    for path, _, body in asked.asked:
        assert path == "/v1/embeddings" and isinstance(body["input"], str) and "stream" not in body


SUITE = """
[target]
url = "{url}"
[run]
seed = 3
[[scenario]]
name = "talk"
[scenario.{kind}]
model = "m"
prompts = 6
{output}
system = "Say {{{{braces}}}}."
prompt = {{ tokens = 30, tokenizer = "{tokenizer}" }}
session = {{ turns = 3, answer_tokens = 12, think_ms = 5 }}
[[phase]]
name = "talk"
scenarios = ["talk"]
shape.closed = {{ connections = 3, requests = 12 }}
[[gate]]
phase = "talk"
check = "ok_count == 12"
"""


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_sessions_grow_and_belong_together(prony, asked, tmp_path, kind):
    output = "output.tokens = 7" if kind == "openai" else "max_tokens = 7\ncache_control = true"
    suite = tmp_path / "suite.toml"
    suite.write_text(SUITE.format(url=asked.url, kind=kind, output=output, tokenizer=TOKENIZER))
    prony("run", suite, "-o", tmp_path / "out").ended(0, 2)
    turns = {}
    for path, headers, body in asked.asked:
        if path == "/v1/messages":
            assert {k.lower(): v for k, v in headers.items()}["anthropic-version"] == "2023-06-01"
            assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
            said = [body["system"][0]["text"], *contents(body)]
        elif path == "/v1/chat/completions":
            said = contents(body)
        else:
            continue
        assert said[0] == "Say {{braces}}.\n\n" and body["max_tokens"] == 7
        turns.setdefault(said[1], []).append(said)
    # Six conversations, each held twice, each time in three turns that begin with what was said before.
    assert len(turns) == 6
    for sent in turns.values():
        lengths = Counter(map(len, sent))
        # A phase that the machine spoiled is made again, as a whole.
        assert set(lengths) == {2, 4, 6} and len(set(lengths.values())) == 1 and lengths[2] % 2 == 0, lengths
        longest = max(sent, key=len)
        assert all(said == longest[: len(said)] for said in sent)


def test_a_trace_is_asked_row_by_row(prony, asked, tmp_path):
    rows = [json.loads(line) for line in (DATA / "mooncake.jsonl").read_text().splitlines()]
    suite = tmp_path / "suite.toml"
    suite.write_text(f"""
[target]
url = "{asked.url}"
[[scenario]]
name = "trace"
[scenario.openai]
model = "m"
[scenario.openai.prompt]
tokenizer = "{TOKENIZER}"
trace = {{ file = "{DATA / 'mooncake.jsonl'}", format = "mooncake" }}
[[phase]]
name = "replay"
scenarios = ["trace"]
shape.replay = {{ file = "{DATA / 'mooncake.jsonl'}", unit = "ms", speed = 4.0 }}
""")
    # A suite without gates decides nothing.
    prony("run", suite, "-o", tmp_path / "out").ended(3)
    bodies = [body for path, _, body in asked.asked if path == "/v1/chat/completions"]
    assert Counter(b["max_tokens"] for b in bodies) == Counter(row["output_length"] for row in rows)
    # Rows whose first block is the same begin with the same text, and no others.
    begins = Counter(contents(b)[-1][:200] for b in bodies)
    whole = Counter(row["hash_ids"][0] for row in rows)
    assert sorted(begins.values()) == sorted(whole.values())
