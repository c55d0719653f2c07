"""One recorded run of streams, under every tool's definitions and in their files, against numbers computed here from the raw
records by the words of docs/llm/definitions.md. Nothing of the binary's arithmetic is used: only the bytes that it stored."""

import json
import math
import struct
from dataclasses import dataclass, field

import pytest

from conftest import Report, Running, Server, binary

pytestmark = pytest.mark.alone

TOKENS, CHUNK = 40, 2
KNOBS = [
    "stream_ttft_ms=40", "stream_itl_ms=6", "stream_itl=bimodal", f"stream_chunk={CHUNK}", "stream_role=first",
    # One in ten has no [DONE], one in ten tells of an error within.
    "stream_fault=no-done*0.1,error@5*0.1",
]


def chunks(path, mark, head):
    """Phase, count and payload of every chunk of a segment file."""
    data, at = path.read_bytes(), 16
    while at < len(data):
        assert data[at : at + 4] == mark, at
        phase, count = struct.unpack_from("<HI", data, at + 4)
        size = struct.unpack_from("<I", data, at + 10)[0] if head == 18 else 80 * count
        yield phase, count, data[at + head : at + head + size]
        at += head + size


@dataclass
class Stream:
    """One answer: stamps in ns, events as (ns, kind, tokens)."""

    phase: int
    scenario: int
    intended: int
    sent: int
    first_event: int
    first_token: int
    last_token: int
    end: int
    outcome: int
    finish: int
    usage_in: int | None
    usage_out: int | None
    asked: int | None
    connect: int = 0
    events: list = field(default_factory=list)

    @property
    def tokens(self):
        return [event for event in self.events if event[1] != 3]


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def stored(folder):
    """The streams of a recording."""
    connect = {}
    for phase, count, payload in chunks(folder / "samples.seg", b"chk\xa7", 14):
        for place in range(count):
            sample = payload[80 * place : 80 * place + 80]
            connect[phase, struct.unpack_from("<Q", sample)[0]] = 1000 * struct.unpack_from("<I", sample, 56)[0]
    streams = []
    for _, count, payload in chunks(folder / "streams.seg", b"stm\xa7", 18):
        at = 0
        for _ in range(count):
            length = struct.unpack_from("<I", payload, at)[0]
            record = payload[at + 4 : at + 4 + length]
            at += 4 + length
            seq, intended, sent, _, first_event, first_token, _, last_token, end, _ = struct.unpack_from("<10Q", record)
            phase, scenario, _ = struct.unpack_from("<3H", record, 112)
            _, outcome, finish, _ = record[118:122]
            flags = struct.unpack_from("<H", record, 122)[0]
            place, optional = 124, []
            for bit in range(7):
                there = flags >> bit & 1
                optional.append(struct.unpack_from("<I", record, place)[0] if there else None)
                place += 4 * there
            stream = Stream(
                phase, scenario, intended, sent, first_event, first_token, last_token, end, outcome, finish,
                optional[0], optional[1], optional[4], connect[phase, seq],
            )
            now = sent
            while place < len(record):
                head = record[place]
                since, place = varint(record, place + 1)
                now += since
                tokens = int(head & 3 != 3)
                if head & 8:
                    tokens, place = varint(record, place)
                stream.events.append((now, head & 3, tokens))
            streams.append(stream)
    return streams


def linear(values, per_cent):
    """As numpy's default."""
    values = sorted(values)
    place = per_cent / 100 * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def nearest(values, per_cent, beyond=0):
    """The nearest rank; `beyond` more are larger than any."""
    values = sorted(values)
    rank = max(1, math.ceil(per_cent / 100 * (len(values) + beyond) - 1e-9))
    return values[rank - 1] if rank <= len(values) else None


def gaps(moments):
    return [(b - a) / 1e6 for a, b in zip(moments, moments[1:])]


def expected(tool, streams, good_code):
    """What a tool prints: mean, median and 99th percentile of its times, counts and rates."""
    lenient = lambda s: len(s.tokens) > 0
    strict = lambda s: s.outcome == good_code
    unfinished = lambda s: s.usage_out is not None or s.finish != 0 or s.outcome == good_code
    connected = lambda s: s.sent - s.connect
    counted = lambda s: s.usage_out if s.usage_out is not None else sum(tokens for _, _, tokens in s.tokens)
    or_asked = lambda s: s.usage_out if s.usage_out is not None else s.asked
    moments = lambda s: [at for at, _, _ in s.tokens]
    after = lambda first, end, n: (end - first) / 1e6 / (n - 1) if n > 1 else None
    if tool == "vllm":
        good, start, first, end, output = lenient, connected, lambda s: s.first_token, lambda s: s.last_token, counted
        tpot, itl, rank = None, lambda s: gaps(moments(s)), linear
    elif tool == "sglang":
        good, start, first, end, output = lenient, connected, lambda s: s.first_token, lambda s: s.end, or_asked
        tpot, itl, rank = None, lambda s: gaps(moments(s)), linear
    elif tool == "vllm-rs":
        def tail(s):
            last = max(i for i, event in enumerate(s.events) if event[1] != 3)
            return s.events[: last + 1], s.events[last + 1 :]

        def with_choices(s):
            body, rest = tail(s)
            return [at for at, _, _ in body + rest[: int(s.finish != 0)]]

        def usage_chunk(s):
            _, rest = tail(s)
            rest = rest[: int(s.finish != 0) + int(s.usage_out is not None)]
            return rest[-1][0] if rest else s.last_token

        good, start, first, end = (lambda s: s.first_event > 0), connected, (lambda s: s.first_event), usage_chunk
        output = lambda s: s.usage_out if s.usage_out is not None else len(with_choices(s))
        tpot, itl, rank = None, lambda s: gaps(with_choices(s)), linear
    elif tool == "aiperf":
        good, start, first, end, output = lenient, connected, lambda s: s.first_token, lambda s: s.last_token, counted
        tpot = lambda s: None
        # The mean gap: over the tokens after those of the first event, of which usage says how many they are on average.
        in_first = lambda s: CHUNK if s.usage_out == CHUNK * len(s.tokens) else s.tokens[0][2]
        itl = lambda s: [(s.last_token - s.first_token) / 1e6 / (output(s) - in_first(s))] if output(s) > 1 else []
        rank = linear
    elif tool == "guidellm":
        good, start, first, end, output = unfinished, (lambda s: s.sent), (lambda s: s.first_token), (lambda s: s.end), or_asked
        tpot = lambda s: (s.last_token - s.sent) / 1e6 / output(s)
        itl = lambda s: [(s.last_token - s.first_token) / 1e6 / (output(s) - 1)]
        rank = nearest
    else:
        assert tool == "mlperf"
        good, start, first, end, output = strict, (lambda s: s.intended), (lambda s: s.first_token), (lambda s: s.end), counted
        tpot, itl, rank = None, lambda s: [], nearest
    seen = [s for s in streams if good(s)]
    failed = len(streams) - len(seen)
    tpot = tpot or (lambda s: after(first(s), end(s), output(s)))
    begin = min(start(s) for s in streams)
    over = (max(max(end(s) if s.tokens else 0, s.end) for s in streams) - begin) / 1e9
    values = {
        "TTFT": [(first(s) - start(s)) / 1e6 for s in seen],
        "TPOT": [t for s in seen if (t := tpot(s)) is not None],
        "ITL": [gap for s in seen for gap in itl(s)],
        "E2EL": [(end(s) - start(s)) / 1e6 for s in seen],
    }
    numbers = {
        "Successful requests": len(seen),
        "Failed requests": failed,
        "Total output tokens": sum(map(output, seen)),
        "Duration": over,
        "Request throughput": len(seen) / over,
        "Output token throughput": sum(map(output, seen)) / over,
    }
    for name, of in values.items():
        if not of:
            continue
        late = failed if tool == "mlperf" and name != "ITL" else 0
        at = (lambda p: nearest(of, p, late)) if late else (lambda p: rank(of, p))
        numbers |= {f"Mean {name}": sum(of) / len(of), f"Median {name}": at(50), f"P99 {name}": at(99)}
    return numbers, values


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run of 120 answers, some of them broken: its folder and its report."""
    sets = [word for knob in KNOBS for word in ("--set", knob)]
    server = Server([binary(), "serve", "truth", "--port", 0, "--admin-port", 0, *sets], {})
    try:
        home = tmp_path_factory.mktemp("definitions")
        done = Running(
            ["load", server.beside["streams"], "--stream", "openai-chat", "--max-tokens", TOKENS, "--rate", "60", "-d", "2s",
             "--allow-failures", "0.6", "-o", home / "run"],
            {}, home,
        ).wait(60)
        # Whether this machine measured well does not matter here: the numbers are of what was recorded.
        assert done.code in (0, 4), done
        yield home / "run", Report(home / "run").data
    finally:
        server.end()


def close(ours, theirs):
    return theirs is not None and math.isclose(ours, theirs, rel_tol=1e-6, abs_tol=1e-6)


def good_code(streams, report):
    """The code of good answers: the one that as many streams have as the report calls good."""
    ok = next(line["value"] for group in report["streams"][0]["groups"] for line in group["lines"] if line["key"] == "completed")
    codes = [s.outcome for s in streams]
    [code] = [code for code in set(codes) if codes.count(code) == ok]
    return code


@pytest.mark.parametrize("tool", ["vllm", "vllm-rs", "sglang", "aiperf", "guidellm", "mlperf"])
def test_every_tools_numbers_follow_from_the_raw_events(recorded, prony, tool):
    folder, report = recorded
    streams = stored(folder)
    assert len(streams) > 60 and len({s.outcome for s in streams}) == 3, "good ones, and two kinds of broken ones"
    wanted, _ = expected(tool, streams, good_code(streams, report))
    [other] = [one for one in report["streams"][0]["others"] if one["name"] == tool]
    told = {row["label"]: row["theirs"] for row in other["compared"]}
    wrong = {name: (value, told.get(name)) for name, value in wanted.items() if value is not None and not close(value, told.get(name))}
    assert not wrong
    # The page says the same, and why.
    page = prony("report", folder, "--definitions", tool).out
    assert other["tool"] in page and "Mean TTFT" in page
    for row in other["compared"]:
        assert row["label"] in page


def test_our_own_column_is_that_of_the_table(recorded):
    """The comparison and the table of the report must not define a word in two ways."""
    folder, report = recorded
    table = report["streams"][0]
    lines = {line["key"]: line["value"] for group in table["groups"] for line in group["lines"]}
    ours = {row["label"]: row["ours"] for row in table["others"][0]["compared"]}
    streams = [s for s in stored(folder) if s.outcome == good_code(stored(folder), report)]
    # Events carry two tokens by usage: a gap is two inter-token latencies of half its length.
    itl = [gap / CHUNK for s in streams for gap in gaps([at for at, _, _ in s.tokens]) for _ in range(CHUNK)]
    assert math.isclose(ours["Mean ITL"], sum(itl) / len(itl), rel_tol=1e-6)
    for label, key in [("Mean ITL", "itl_mean_ms"), ("Mean TTFT", "ttft_mean_ms"), ("Mean TPOT", "tpot_mean_ms")]:
        # Times in the table come from histograms of three digits.
        assert math.isclose(ours[label], lines[key], rel_tol=0.01), label


def test_the_files_of_other_tools_hold_the_same_numbers(recorded, prony):
    folder, report = recorded
    streams = stored(folder)
    code = good_code(streams, report)
    document = lambda name: json.loads(prony("report", folder, "--format", name).out)

    wanted, values = expected("vllm", streams, code)
    found = document("vllm-json")
    assert (found["completed"], found["failed"]) == (wanted["Successful requests"], wanted["Failed requests"])
    assert close(wanted["Output token throughput"], found["output_throughput"])
    for name, of in [("ttft", "TTFT"), ("tpot", "TPOT"), ("itl", "ITL"), ("e2el", "E2EL")]:
        for per_cent in (50, 90, 95, 99):
            assert close(linear(values[of], per_cent), found[f"p{per_cent}_{name}_ms"]), (name, per_cent)
        mean = sum(values[of]) / len(values[of])
        spread = math.sqrt(sum((value - mean) ** 2 for value in values[of]) / len(values[of]))
        assert close(mean, found[f"mean_{name}_ms"]) and close(spread, found[f"std_{name}_ms"]), name

    wanted, values = expected("aiperf", streams, code)
    found = document("aiperf-json")
    for key, of in [("time_to_first_token", "TTFT"), ("inter_token_latency", "ITL"), ("request_latency", "E2EL")]:
        for per_cent in (1, 50, 99):
            assert close(linear(values[of], per_cent), found[key][f"p{per_cent}"]), (key, per_cent)
        assert close(sum(values[of]), found[key]["sum"]) and found[key]["count"] == len(values[of]), key
    chunks_of = [gap for s in streams if s.tokens for gap in gaps([at for at, _, _ in s.tokens])]
    assert close(linear(chunks_of, 99), found["inter_chunk_latency"]["p99"])
    assert close(wanted["Request throughput"], found["request_throughput"]["avg"])

    wanted, values = expected("guidellm", streams, code)
    [benchmark] = document("guidellm-json")["benchmarks"]
    metrics = benchmark["metrics"]
    assert metrics["request_totals"]["successful"] == wanted["Successful requests"]
    for key, of in [
        ("time_to_first_token_ms", "TTFT"), ("time_per_output_token_ms", "TPOT"), ("inter_token_latency_ms", "ITL"),
    ]:
        good = metrics[key]["successful"]
        assert close(nearest(values[of], 50), good["median"]) and close(nearest(values[of], 99), good["percentiles"]["p99"]), key
        assert close(sum(values[of]) / len(values[of]), good["mean"]), key
    assert close(sum(values["E2EL"]) / len(values["E2EL"]) / 1e3, metrics["request_latency"]["successful"]["mean"])
