"""The paced streams, their faults and the other engines' endpoints, against clients that others wrote."""

import json
import math
import urllib.request

import anthropic
import httpx
import openai
import pytest

pytestmark = pytest.mark.alone

MODEL = "gemma-3-12b-it"
QUICK = ["stream_ttft_ms=2", "stream_itl_ms=1"]
HELLO = [{"role": "user", "content": "Hello there"}]


CLIENTS = []


def claude(url):
    CLIENTS.append(anthropic.Anthropic(base_url=url, api_key="any", max_retries=0, timeout=20))
    return CLIENTS[-1]


def chatgpt(url):
    CLIENTS.append(openai.OpenAI(base_url=url + "/v1", api_key="any", max_retries=0, timeout=20))
    return CLIENTS[-1]


@pytest.fixture(autouse=True)
def closed():
    yield
    while CLIENTS:
        CLIENTS.pop().close()


def told(server, path):
    with urllib.request.urlopen(server.admin + path, timeout=10) as answer:
        return json.load(answer)


@pytest.fixture
def paced(backend):
    return backend("truth", *QUICK)


def test_the_sdks_read_paced_streams(paced):
    url = paced.beside["streams"]
    chunks = list(
        chatgpt(url).chat.completions.create(
            model=MODEL, messages=HELLO, max_tokens=12, stream=True, stream_options={"include_usage": True},
            extra_headers={"x-request-id": "chat-1"},
        )
    )
    words = [one.choices[0].delta.content for one in chunks if one.choices and one.choices[0].delta.content]
    assert len(words) == 12 and chunks[-1].usage.completion_tokens == 12
    with claude(url).messages.stream(model=MODEL, messages=HELLO, max_tokens=12) as stream:
        message = stream.get_final_message()
    assert message.usage.output_tokens == 12 and message.stop_reason == "max_tokens"
    assert message.content[0].text == "".join(words), "one prompt, one text"
    completion = chatgpt(url).completions.create(model=MODEL, prompt="Once", max_tokens=3)
    assert completion.usage.completion_tokens == 3
    assert [one.id for one in chatgpt(url).models.list()] == ["paced"]
    [stream] = told(paced, "/truth/streams?id=chat-1")["streams"]
    assert stream["intended_us"] == [2000 + 1000 * place for place in range(12)]
    assert all(sent >= meant for sent, meant in zip(stream["sent_us"], stream["intended_us"]))


def test_the_sdks_see_the_faults_that_are_ordered(paced, backend):
    semantic = backend("semantic-fixed", "decode_base_us=500", "prefill_us=10", "api_keys=none")
    for url in [paced.beside["streams"], semantic.url]:
        def chat(fault):
            return chatgpt(url).chat.completions.create(
                model=MODEL, messages=HELLO, max_tokens=8, stream=True, extra_headers={"x-fault": fault}
            )

        def messages(fault):
            return claude(url).messages.create(
                model=MODEL, messages=HELLO, max_tokens=8, stream=True, extra_headers={"x-fault": fault}
            )

        with pytest.raises(openai.RateLimitError) as refused:
            chat("status=429,retry-after=3")
        assert refused.value.response.headers["retry-after"] == "3"
        with pytest.raises(openai.APIError):
            list(chat("error@3"))
        with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
            list(messages("error-event@3"))
        for cut in ["fin@3", "reset@3"]:
            with pytest.raises((openai.APIConnectionError, httpx.HTTPError)):
                list(chat(cut))
        with pytest.raises(json.JSONDecodeError):
            list(chat("garble@3"))
        # What is only shaped otherwise is read all the same.
        for shape in ["crlf", "multi-line", "split-utf8@3", "comment@3", "gzip", "no-done", "stall=30@3"]:
            read = [one.choices[0].delta.content for one in chat(shape) if one.choices]
            assert len([text for text in read if text]) == 8, shape
        kinds = [one.delta.type for one in messages("thinking=2") if one.type == "content_block_delta"]
        assert kinds == ["thinking_delta"] * 2 + ["signature_delta"] + ["text_delta"] * 6


def test_the_sdks_use_the_other_engines_endpoints(backend):
    server = backend("semantic-fixed", "decode_base_us=500", "prefill_us=10", "api_keys=none", "serving_api=true")
    client = chatgpt(server.url)
    whole = client.responses.create(model=MODEL, input="Hello", max_output_tokens=5)
    assert whole.usage.output_tokens == 5 and whole.incomplete_details.reason == "max_output_tokens"
    events = list(client.responses.create(model=MODEL, input="Hello", max_output_tokens=5, stream=True))
    assert "".join(one.delta for one in events if one.type == "response.output_text.delta") == whole.output_text
    assert events[-1].response.output_text == whole.output_text
    assert [one.sequence_number for one in events] == sorted(one.sequence_number for one in events)
    near, same, far = client.embeddings.create(
        model=MODEL, input=["a river under a stone", "a river under the stone", "queues grow"]
    ).data
    cosine = lambda a, b: sum(x * y for x, y in zip(a.embedding, b.embedding))
    assert math.isclose(cosine(near, near), 1, rel_tol=1e-4) and cosine(near, same) > 0.5 > cosine(near, far)
    assert client.completions.create(model=MODEL, prompt="Once", max_tokens=3).usage.completion_tokens == 3
    streamed = list(client.completions.create(model=MODEL, prompt="Once", max_tokens=3, stream=True))
    assert len([one for one in streamed if one.choices and one.choices[0].text]) == 3
