"""The language model server against clients that others wrote, and the load that was once sent to its original."""

import asyncio
import contextlib
import json
import time
import urllib.request

import anthropic
import httpx
import jsonschema
import openai
import pytest

pytestmark = pytest.mark.alone

MODEL = "gemma-3-12b-it"
KEY = {"x-api-key": "local-key-1"}
ADMIN = {"x-admin-key": "local-admin-key"}
QUICK = ["decode_base_us=500", "decode_seq_us=0", "prefill_us=20", "limit_global=0"]
HELLO = {"model": MODEL, "max_tokens": 4, "messages": [{"role": "user", "content": "Hello"}]}
# Some 600 tokens.
LONG = "The river carries water past the old stone house. " * 60


def truth(server):
    with urllib.request.urlopen(server.admin + "/truth", timeout=10) as answer:
        return json.load(answer)


@pytest.fixture
def fixed(backend):
    return lambda *knobs: backend("semantic-fixed", *QUICK, *knobs)


def claude(server, key="local-key-1"):
    return anthropic.Anthropic(base_url=server.url, api_key=key, max_retries=0, timeout=20)


def chatgpt(server, key="local-key-1"):
    return openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0, timeout=20)


def ask(client, text="Hello", **more):
    return client.messages.create(
        model=MODEL, max_tokens=more.pop("max_tokens", 8), messages=[{"role": "user", "content": text}], **more
    )


# --- what every endpoint answers ---

CONFORMANCE = [
    # method, path, headers, body, status when fixed, status as observed
    ("GET", "/", {}, None, 200, 200),
    ("GET", "/docs", {}, None, 200, 200),
    ("GET", "/openapi.json", {}, None, 200, 200),
    ("GET", "/health", {}, None, 200, 200),
    ("GET", "/health/live", {}, None, 200, 200),
    ("GET", "/health/ready", {}, None, 200, 200),
    ("GET", "/health/startup", {}, None, 200, 200),
    ("GET", "/metrics", {}, None, 200, 200),
    ("GET", "/v1/models", KEY, None, 200, 200),
    ("GET", "/v1/models", {}, None, 401, 401),
    ("GET", "/debug/memory", KEY, None, 200, 200),
    ("GET", "/nowhere", KEY, None, 404, 404),
    ("DELETE", "/v1/messages", KEY, None, 405, 405),
    ("POST", "/v1/messages", KEY, HELLO, 200, 200),
    ("POST", "/v1/messages", {}, HELLO, 401, 401),
    ("POST", "/v1/messages", {"x-api-key": "wrong"}, HELLO, 401, 401),
    ("POST", "/v1/messages", KEY, {}, 400, 422),
    ("POST", "/v1/messages", KEY, HELLO | {"messages": []}, 400, 422),
    ("POST", "/v1/messages", KEY, HELLO | {"messages": [{"role": "assistant", "content": "x"}]}, 400, 422),
    ("POST", "/v1/messages", KEY, HELLO | {"messages": HELLO["messages"] * 2}, 400, 422),
    ("POST", "/v1/messages", KEY, HELLO | {"messages": [{"role": "robot", "content": "x"}]}, 400, 422),
    ("POST", "/v1/messages", KEY, HELLO | {"max_tokens": 0}, 400, 422),
    ("POST", "/v1/messages", KEY, HELLO | {"max_tokens": 65537}, 400, 422),
    ("POST", "/v1/messages", KEY, HELLO | {"max_tokens": "four"}, 400, 422),
    ("POST", "/v1/messages", KEY, HELLO | {"temperature": 2.1}, 400, 422),
    ("POST", "/v1/messages", KEY, HELLO | {"thinking": {"type": "enabled", "budget_tokens": 32001}}, 400, 422),
    ("POST", "/v1/messages", KEY, HELLO | {"surprise": 1}, 400, 200),
    ("POST", "/v1/messages", KEY, HELLO | {"system": None}, 400, 200),
    ("POST", "/v1/messages", KEY, HELLO | {"metadata": "x"}, 400, 200),
    ("POST", "/v1/messages", KEY, HELLO | {"model": "gpt-4"}, 404, 200),
    ("POST", "/v1/messages/count_tokens", KEY, {k: HELLO[k] for k in ("model", "messages")}, 200, 200),
    ("POST", "/v1/messages/count_tokens", KEY, {"model": MODEL}, 400, 422),
    ("POST", "/v1/chat/completions", KEY, HELLO, 200, 200),
    ("POST", "/v1/chat/completions", {"authorization": "Bearer local-key-1"}, HELLO, 200, 200),
    ("POST", "/v1/chat/completions", KEY, HELLO | {"stop": None, "user": None}, 200, 200),
    ("POST", "/v1/chat/completions", KEY, HELLO | {"user": 1}, 400, 200),
    ("POST", "/v1/chat/completions", KEY, HELLO | {"n": 2}, 400, 422),
    ("POST", "/v1/chat/completions", KEY, HELLO | {"stop": [1]}, 400, 422),
    ("POST", "/v1/agents", KEY, {"agent_id": "one"}, 201, 201),
    ("POST", "/v1/agents", KEY, {"agent_id": "one"}, 409, 409),
    ("POST", "/v1/agents", KEY, {"agent_id": ""}, 400, 422),
    ("GET", "/v1/agents/list", KEY, None, 200, 200),
    ("GET", "/v1/agents/stats", KEY, None, 200, 200),
    ("GET", "/v1/agents/one", KEY, None, 200, 200),
    ("POST", "/v1/agents/one/generate", KEY, {"prompt": "Hello", "max_tokens": 4}, 200, 200),
    ("POST", "/v1/agents/one/generate", KEY, {}, 400, 422),
    ("POST", "/v1/agents/two/generate", KEY, {"prompt": "Hello"}, 404, 404),
    ("DELETE", "/v1/agents/one", KEY, None, 204, 204),
    ("DELETE", "/v1/agents/one", KEY, None, 404, 404),
    ("GET", "/admin/models/current", ADMIN, None, 200, 200),
    ("GET", "/admin/models/current", {}, None, 401, 401),
    ("GET", "/admin/models/current", {"x-admin-key": "wrong"}, None, 401, 401),
    ("GET", "/admin/models/available", ADMIN, None, 200, 200),
    ("DELETE", "/admin/caches", ADMIN, None, 200, 200),
    ("POST", "/admin/models/swap", ADMIN, {"model_id": "nothing"}, 404, 404),
    ("POST", "/admin/models/swap", ADMIN, {}, 400, 422),
    ("POST", "/admin/models/swap", ADMIN, {"model_id": "gemma-3-4b-it"}, 200, 200),
    ("POST", "/admin/models/offload", ADMIN, None, 200, 200),
    ("GET", "/health/ready", {}, None, 503, 503),
    ("POST", "/v1/messages", KEY, HELLO | {"model": "gemma-3-4b-it"}, 503, 503),
]


def declared(document, method, path, answer):
    """The answer is one that the document declares, in its schema."""
    for template, operations in document["paths"].items():
        parts = zip(template.split("/"), path.split("/"), strict=False)
        if template.count("/") == path.count("/") and all(w == g or w.startswith("{") for w, g in parts):
            if method.lower() in operations:
                responses = operations[method.lower()]["responses"]
                assert str(answer.status_code) in responses, (method, path, answer.status_code)
                content = responses[str(answer.status_code)].get("content", {})
                if "application/json" in content:
                    schema = content["application/json"]["schema"] | {"components": document["components"]}
                    jsonschema.validate(answer.json(), schema)
                return
    assert answer.status_code in (404, 405)


@pytest.mark.parametrize("preset", ["semantic-fixed", "semantic"])
def test_every_endpoint_and_error_is_as_declared(backend, preset):
    server = backend(preset, *QUICK, "gather_ms=0")
    with httpx.Client(base_url=server.url, timeout=20) as client:
        document = client.get("/openapi.json").json()
        for method, path, headers, body, status, observed in CONFORMANCE:
            answer = client.request(method, path, headers=headers | {"x-request-id": "r-1"}, json=body)
            wanted = status if preset == "semantic-fixed" else observed
            assert answer.status_code == wanted, (method, path, body, answer.text)
            assert answer.headers["x-request-id"] == "r-1"
            declared(document, method, path, answer)
            if preset == "semantic-fixed" and answer.status_code >= 400 and path != "/health/ready":
                one = answer.json()
                if path.startswith("/v1/chat") or path == "/v1/models":
                    assert set(one["error"]) == {"message", "type", "param", "code"}
                else:
                    assert one["type"] == "error" and set(one["error"]) == {"type", "message"}
            if answer.status_code == 503 and path == "/v1/messages":
                assert ("retry-after" in answer.headers) == (preset == "semantic-fixed")
        if preset == "semantic-fixed":
            for body, kind, status in [("{", "application/json", 400), ("x", "text/plain", 415)]:
                answer = client.post("/v1/messages", headers=KEY | {"content-type": kind}, content=body)
                assert answer.status_code == status
        metrics = client.get("/metrics").text
        assert 'semantic_request_total{method="POST",path="/v1/agents",status_code="201"} 1' in metrics
        for name in ["request_duration_seconds_bucket", "pool_utilization_ratio", "agents_active", "cache_hit_total"]:
            assert f"\nsemantic_{name}" in metrics
        tried = {f"{method} {path}" for method, path, *_ in CONFORMANCE}
        for path, operations in document["paths"].items():
            for method in operations:
                assert f"{method.upper()} {path.replace('{agent_id}', 'one')}" in tried


# --- clients that others wrote ---


def test_the_anthropic_client(fixed):
    server = fixed()
    client = claude(server)
    answer = ask(client, "Name three rivers.", max_tokens=12)
    assert (answer.type, answer.role, answer.stop_reason, answer.usage.output_tokens) == ("message", "assistant", "max_tokens", 12)
    names = []
    with client.messages.stream(
        model=MODEL, max_tokens=12, messages=[{"role": "user", "content": "Name three rivers."}]
    ) as stream:
        names = [event.type for event in stream]
        final = stream.get_final_message()
    assert final.content[0].text == answer.content[0].text
    assert final.usage.output_tokens == 12 and final.stop_reason == "max_tokens"
    assert names[0] == "message_start" and names[-1] == "message_stop"
    messages = [{"role": "user", "content": [{"type": "text", "text": "Name three rivers."}]}]
    count = client.messages.count_tokens(model=MODEL, messages=messages)
    used = answer.usage
    assert count.input_tokens == used.input_tokens + used.cache_creation_input_tokens + used.cache_read_input_tokens
    assert client.models.list().data[0].id == MODEL
    word = ask(client, max_tokens=300).content[0].text.split()[3]
    cut = ask(client, max_tokens=300, stop_sequences=[word])
    assert (cut.stop_reason, cut.stop_sequence) == ("stop_sequence", word)
    for error, call in [
        (anthropic.AuthenticationError, lambda: ask(claude(server, "wrong"))),
        (anthropic.BadRequestError, lambda: ask(client, max_tokens=0)),
        (anthropic.BadRequestError, lambda: ask(client, LONG * 200)),
        (
            anthropic.NotFoundError,
            lambda: client.messages.create(model="nothing", max_tokens=1, messages=HELLO["messages"]),
        ),
    ]:
        with pytest.raises(error) as raised:
            call()
        assert raised.value.body["type"] == "error" and raised.value.request_id


def test_the_anthropic_client_is_told_of_limits(fixed):
    client = claude(fixed("limit_global=2"))
    ask(client)
    ask(client)
    with pytest.raises(anthropic.RateLimitError) as raised:
        ask(client)
    assert 1 <= int(raised.value.response.headers["retry-after"]) <= 60


def test_the_openai_client(fixed):
    server = fixed()
    client = chatgpt(server)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name three rivers."}]
    answer = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=9)
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 9)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 9
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=messages, max_completion_tokens=9, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == answer.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == 9 and chunks[-1].choices == []
    assert [model.id for model in client.models.list()] == [MODEL]
    for error, call in [
        (openai.AuthenticationError, lambda: chatgpt(server, "wrong").models.list()),
        (openai.BadRequestError, lambda: client.chat.completions.create(model=MODEL, messages=[])),
        (openai.NotFoundError, lambda: client.chat.completions.create(model="nothing", messages=messages)),
    ]:
        with pytest.raises(error) as raised:
            call()
        assert raised.value.body["message"]


# --- the cache ---


def test_a_known_prefix_is_not_computed_again(fixed):
    server = fixed("prefill_us=300")
    client = claude(server)
    for _ in range(3):
        ask(client, LONG + "What is it about?")
    ask(client, LONG + "And who lives there, after all these years?")
    requests = truth(server)["requests"]
    first = [one["first_token_ns"] - one["admitted_ns"] for one in requests]
    cached = [one["cached_tokens"] for one in requests]
    assert cached[0] == 0 and cached[1] == cached[2] and cached[1] > 0.9 * requests[1]["prompt_tokens"]
    assert cached[3] > 0.9 * requests[3]["prompt_tokens"]
    # Computed, it takes 300 us for each token; the rest is less than a tenth.
    assert requests[0]["first_token_ns"] - requests[0]["arrived_ns"] >= 300_000 * requests[0]["prompt_tokens"]
    assert all(2 * later < first[0] for later in first[1:])
    used = ask(client, LONG + "What is it about?").usage
    assert used.cache_read_input_tokens == cached[1] and used.input_tokens < 64


def test_a_conversation_goes_on_where_it_was(fixed):
    client = claude(fixed())
    messages = [{"role": "user", "content": "Tell me of the river."}]
    said = client.messages.create(model=MODEL, max_tokens=300, messages=messages)
    messages += [{"role": "assistant", "content": said.content[0].text}, {"role": "user", "content": "And then?"}]
    used = client.messages.create(model=MODEL, max_tokens=8, messages=messages).usage
    # What the model said itself is in the cache as well.
    assert used.cache_read_input_tokens >= said.usage.output_tokens - 32


def test_the_cache_outlives_a_restart(fixed, tmp_path):
    folder = f"cache_dir={tmp_path}"
    server = fixed(folder)
    first = ask(claude(server), LONG).usage
    server.end()
    server = fixed(folder)
    used = ask(claude(server), LONG).usage
    assert first.cache_read_input_tokens == 0
    assert used.cache_read_input_tokens > 0.9 * first.cache_creation_input_tokens
    one = truth(server)["requests"][0]
    assert one["reloaded_tokens"] == one["cached_tokens"] == used.cache_read_input_tokens


# --- the load that was sent to the original ---

LEVELS = [10, 19, 28, 37, 46, 55, 64, 73, 82, 91, 100]
# Everything is this much faster than it was.
SCALE = 32


async def once(port):
    """One request on a connection of its own: its status, or 0 after the original's minute."""
    body = json.dumps(HELLO | {"max_tokens": 100}).encode()
    head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: local-key-1\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"

    async def exchange():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(head.encode() + body)
            line = await reader.readline()
            await reader.read()
            return int(line.split()[1])
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    try:
        # A time-out of 60 s was rounded up to the next whole second.
        return await asyncio.wait_for(exchange(), 61 / SCALE)
    except TimeoutError:
        return 0


async def ramp(port, levels=LEVELS):
    rows = []
    for level in levels:
        rows.append(await asyncio.gather(*(once(port) for _ in range(level))))
        await asyncio.sleep(3 / SCALE)
    return rows


def test_the_original_load_has_its_original_outcome(backend):
    """29 answers, 516 refusals, 60 time-outs: ten and nineteen answers, then a pool that has leaked away."""
    server = backend(
        "semantic",
        # 3.0 s for an answer of 100 tokens: nineteen of them fit into a minute with some room, twenty-one do not.
        f"decode_base_us={29_000 // SCALE}",
        f"decode_seq_us={1_000 // SCALE}",
        f"prefill_us={2_000 // SCALE}",
        "gather_ms=20",
    )
    rows = asyncio.run(ramp(server.port))
    count = {status: sum(row.count(status) for row in rows) for status in (200, 503, 0)}
    assert count == {200: 29, 503: 516, 0: 60}, [{s: row.count(s) for s in set(row)} for row in rows]
    assert [row.count(200) for row in rows[:3]] == [10, 19, 0]
    told = truth(server)
    # Fewer were answered than were served, and none of the later ones for want of concurrency.
    assert sum(one["outcome"] == "done" for one in told["requests"]) == 42
    assert told["pool"]["lost"] == told["pool"]["blocks"] == 2048
    assert told["scheduler"]["batch_max"] == 1
    # It never recovers: an idle server refuses a single request.
    time.sleep(0.2)
    assert asyncio.run(once(server.port)) == 503


def test_the_fixed_server_takes_the_same_levels_without_a_leak(backend):
    server = backend("semantic-fixed", *QUICK, "decode_base_us=300")
    below, above = asyncio.run(ramp(server.port, [55, 100]))
    assert set(below) == {200}
    # 8 run and 64 wait; the others are told to come again.
    assert set(above) <= {200, 503} and above.count(200) >= 64
    pool = truth(server)["pool"]
    assert pool["lost"] == pool["used"] == 0
    assert asyncio.run(once(server.port)) == 200
