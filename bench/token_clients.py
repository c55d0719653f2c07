"""Clients that load a server of language models: how each is called, and what it says afterwards. Knows no server and no table.

Prony is one of them. The others are found below PEERS (~/.cache/peers), where bench/install-peers.sh streams puts them. `Run` is one run
of one of them: its exit code, its processor time (its children's too), and what it said; or why it said nothing."""

import ctypes
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENV = os.environ
PEERS = Path(ENV.get("PEERS", Path.home() / ".cache" / "peers"))
PRONY = ENV.get("PRONY_BIN", str(HERE.parent / "target" / "release" / "prony"))
CPU_CLIENT = ENV.get("CPU_CLIENT", "0")
# A run that takes longer is ended and named.
LONGEST_S = 120
SGLANG = """import importlib.util, pathlib, sys
at = next(pathlib.Path(sys.prefix).glob("lib/python*/site-packages/sglang/srt/rust_extensions/_bench*.so"))
spec = importlib.util.spec_from_file_location("_bench", at)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.run_argv(["sglang-bench", *sys.argv[1:]])
"""


@dataclass
class Load:
    """What to send: so many requests for so many tokens, on so many streams, or `rate` a second at random for `seconds`."""

    url: str
    tokens: int
    requests: int
    streams: int = 0
    rate: int = 0
    seconds: int = 0
    # Whether a client that can keep a recording does so, and every answer's times are reported from it.
    keep: bool = False


@dataclass
class Said:
    """What a client reported, in ms. None is what it does not report."""

    ok: int = 0
    failed: int = 0
    tokens: int | None = None
    ttft_mean: float | None = None
    ttft_p99: float | None = None
    itl_mean: float | None = None
    itl_p99: float | None = None
    # Where what it calls ITL is another thing: the quantile of single gaps, if it is written anywhere, and by which name.
    gap_p99: float | None = None
    note: str = ""


@dataclass
class Run:
    """One run of one client."""

    said: Said | None
    exit: int | None
    cpu_s: float
    wall_s: float
    error: str = ""


def tokenizer(folder):
    """A tokenizer in `folder` for which every word that the servers say is one token, so that counts by text are right: bytes, and a
    chain of merges for each word."""
    words = (
        "amber brook cedar dune ember fern grove heath iris juniper kelp linden moss nettle oak pine quartz reed sage thyme umber "
        "vale willow yarrow alder birch clover daisy elm flint granite hazel the"
    )
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    alphabet = [chr(c) for c in printable] + [chr(256 + n) for n in range(256 - len(printable))]
    vocabulary, merges = {"<|end|>": 0}, []
    for symbol in alphabet:
        vocabulary[symbol] = len(vocabulary)
    for word in words.split():
        # U+0120 is a blank, as such vocabularies write it.
        so_far = "\u0120"
        for letter in word:
            if so_far + letter not in vocabulary:
                vocabulary[so_far + letter] = len(vocabulary)
                merges.append([so_far, letter])
            so_far += letter
    example = json.loads((HERE.parent / "suites" / "examples" / "data" / "tokenizer.json").read_text())
    example["model"] |= {"vocab": vocabulary, "merges": merges}
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(example))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 131072}')
    (folder / "config.json").write_text('{"model_type": "gpt2"}')
    return folder


class Client:
    """One of them. `name` is as tables show it; `at` the program that must exist."""

    name = ""
    at = None
    # None of them needs a hub: the tokenizer is a folder.
    environment = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1", "VLLM_NO_USAGE_STATS": "1"}

    def missing(self):
        """Why it cannot be run, or nothing."""
        return None if shutil.which(str(self.at)) else f"{self.at} does not exist"

    def command(self, load, folder, words):
        raise NotImplementedError

    def read(self, folder, load):
        raise NotImplementedError

    def run(self, load, folder, words):
        """Runs it on its core, and waits for it and all that it left behind."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        environment = {k: v for k, v in ENV.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment |= self.environment
        command = ["taskset", "-c", CPU_CLIENT, *map(str, self.command(load, folder, words))]
        others = children()
        before, began = cpu_s(), time.monotonic()
        with open(folder / "stdout", "wb") as out, open(folder / "stderr", "wb") as err:
            child = subprocess.Popen(command, stdout=out, stderr=err, stdin=-3, cwd=folder, env=environment, start_new_session=True)
        error = ""
        try:
            code = child.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            code, error = None, f"did not end within {LONGEST_S} s"
        finally:
            # A person's Ctrl-C ends it too.
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        wall = time.monotonic() - began
        reap(others)
        used = cpu_s() - before
        if error:
            return Run(None, code, used, wall, error)
        try:
            return Run(self.read(folder, load), code, used, wall)
        except (OSError, ValueError, KeyError, TypeError, IndexError, subprocess.CalledProcessError) as why:
            return Run(None, code, used, wall, f"no report ({type(why).__name__}), exit {code}: {last_words(folder)}")


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def adopt():
    """Makes this process the parent of orphans below it, so that their processor time is counted."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def reap(others):
    """Waits for those that a client left behind, and ends those that are still there after three seconds; not `others`."""
    until = time.monotonic() + 3
    while left := children() - others:
        for pid in left:
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, os.WNOHANG)
        time.sleep(0.02)


def children():
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


def last_words(folder):
    """The last line of an error, without colours, bounded."""
    text = "".join((folder / name).read_text(errors="replace") for name in ("stdout", "stderr"))
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if line.strip(" │╭╰─╮╯|=")]
    wrong = [line for line in lines if re.search(r"error|exception|failed", line, re.IGNORECASE)] or lines
    return (wrong[-1] if wrong else "no words")[:160]


class Prony(Client):
    name, at = "prony", PRONY

    def command(self, load, folder, words):
        how = ["-c", load.streams, "-n", load.requests, "--connect-rate", 2000]
        if load.rate:
            how = ["--rate", load.rate, "-d", f"{load.seconds}s", "--in-flight", 2000]
        how += ["--output", folder / "recording"] if load.keep else []
        return [PRONY, "load", load.url, "--stream", "openai-chat", "--max-tokens", load.tokens, "--json", "--timeout", "60s", *how]

    def read(self, folder, load):
        document = json.loads((folder / "stdout").read_text())
        found = document["streams"][0]
        said = Said(found["ok"], sum(o["n"] for o in document["outcomes"]) - found["ok"])
        said.note = ", ".join(f"{o['n']} {o['outcome']}" for o in document["outcomes"] if o["outcome"] != "ok")
        issues = ", ".join(sorted({issue["name"] for issue in document["validity"]["invalid"]}))
        said.note += f"INVALID ({issues})" if issues and not said.note else ""
        if said.ok:
            said.tokens = found["usage_output"] or found["event_tokens"]
            said.ttft_mean, said.ttft_p99 = found["ttft"]["mean_ms"], found["ttft"]["p99_ms"]
            said.itl_mean, said.itl_p99 = found["itl"]["mean_ms"], found["itl"]["p99_ms"]
            said.gap_p99 = found["chunk_gap"]["p99_ms"]
        if said.ok and load.keep and said.ttft_p99 is None:
            # Too few independent answers for its own quantile; that of the sample, as the others print it, is in the file for them.
            report = subprocess.run([PRONY, "report", folder / "recording", "--format", "vllm-json"], capture_output=True, check=True)
            said.ttft_p99 = json.loads(report.stdout)["p99_ttft_ms"]
            said.note = "; ".join(filter(None, [said.note, "TTFT p99 of the sample: not estimable by its own rule"]))
        return said


class VllmRust(Client):
    name, at = "vllm-rs bench", PEERS / "bin" / "vllm-rs"
    program = [at]

    def command(self, load, folder, words):
        how = ["--request-rate", load.rate] if load.rate else ["--max-concurrency", load.streams]
        return [
            *self.program, "bench", "serve", "--backend", "openai-chat", "--endpoint", "/v1/chat/completions", "--base-url", load.url,
            "--model", "mock", "--tokenizer", words, "--dataset-name", "random", "--random-input-len", 16, "--random-output-len",
            load.tokens, "--num-prompts", load.requests, *how, "--save-result", "--result-dir", folder, "--result-filename",
            "said.json", "--ready-check-timeout-sec", 0,
        ]  # fmt: skip

    def read(self, folder, load):
        return of_bench_serve(json.loads((folder / "said.json").read_text()), load)


class VllmPython(VllmRust):
    name, at = "vllm bench serve", PEERS / "vllm" / "bin" / "vllm"
    program = [at]


class SglangRust(Client):
    name, at = "sglang-bench (Rust)", PEERS / "sglang" / "bin" / "python"

    def missing(self):
        found = list((PEERS / "sglang").glob("lib/python*/site-packages/sglang/srt/rust_extensions/_bench*.so"))
        return super().missing() or (None if found else "its wheel has no _bench extension for this Python")

    def command(self, load, folder, words):
        how = ["--request-rate", load.rate] if load.rate else ["--max-concurrency", load.streams]
        return [
            self.at, "-c", SGLANG, "--backend", "vllm-chat", "--base-url", load.url, "--model", "mock", "--tokenizer", words,
            "--dataset-name", "random-ids", "--random-input-len", 16, "--random-output-len", load.tokens, "--random-range-ratio",
            "1.0", "--num-prompts", load.requests, *how, "--disable-retokenize", "--warmup-requests", 0, "--output-file",
            folder / "said.json",
        ]  # fmt: skip

    def read(self, folder, load):
        return of_bench_serve(json.loads((folder / "said.json").read_text()), load)


def of_bench_serve(document, load):
    """The keys that vLLM's and SGLang's clients share."""
    said = Said(document["completed"], document.get("failed", load.requests - document["completed"]))
    if said.ok:
        said.tokens = document["total_output_tokens"]
        said.ttft_mean, said.ttft_p99 = document["mean_ttft_ms"], document["p99_ttft_ms"]
        said.itl_mean, said.itl_p99 = document["mean_itl_ms"], document["p99_itl_ms"]
        said.gap_p99 = said.itl_p99
    return said


class AIPerf(Client):
    name, at = "AIPerf", PEERS / "aiperf" / "bin" / "aiperf"
    # With HF_HUB_OFFLINE it takes the folder of a tokenizer for a name on the hub, and stops.
    environment = {"DO_NOT_TRACK": "1"}

    def command(self, load, folder, words):
        how = ["--concurrency", load.streams, "--request-count", load.requests]
        if load.rate:
            how = ["--request-rate", load.rate, "--arrival-pattern", "poisson", "--request-count", load.requests]
        return [
            self.at, "profile", "--model", "mock", "--url", load.url, "--endpoint-type", "chat", "--streaming", "--tokenizer", words,
            "--isl", 16, "--osl", load.tokens, *how, "--artifact-dir", folder / "said", "--ui", "none", "--no-gpu-telemetry",
            "--no-server-metrics",
        ]  # fmt: skip

    def read(self, folder, load):
        report = folder / "said" / "profile_export_aiperf.json"
        # Where no request was good it writes no report, and says so in words.
        if not report.exists() and (none := re.search(r"All (\d+) inference request\(s\) failed", (folder / "stdout").read_text())):
            return Said(0, int(none[1]), note="no report")
        document = json.loads(report.read_text())

        def value(name, key="avg"):
            return (document.get(name) or {}).get(key)

        said = Said(int(value("request_count") or 0), int(value("error_request_count") or 0))
        said.tokens = value("total_osl")
        said.ttft_mean, said.ttft_p99 = value("time_to_first_token"), value("time_to_first_token", "p99")
        said.itl_mean, said.itl_p99 = value("inter_token_latency"), value("inter_token_latency", "p99")
        said.gap_p99 = value("inter_chunk_latency", "p99")
        return said


class GuideLLM(Client):
    name, at = "GuideLLM", PEERS / "guidellm" / "bin" / "guidellm"

    def command(self, load, folder, words):
        how = ["--profile", f"kind=concurrent,streams={load.streams}"]
        until = ["--constraint", f"kind=max_requests,count={load.requests}"]
        if load.rate:
            how = ["--profile", f"kind=poisson,rate={load.rate}"]
            until += ["--constraint", f"kind=max_duration,seconds={load.seconds}"]
        backend = f"kind=openai_http,target={load.url},request_format=/v1/chat/completions,model=mock"
        return [
            self.at, "run", "--backend", backend, *how, *until, "--data",
            f"kind=synthetic_text,prompt_tokens=16,output_tokens={load.tokens}", "--tokenizer",
            f"kind=huggingface_auto,model={words}", "--output", f"kind=json,path={folder}/said.json",
        ]  # fmt: skip

    def read(self, folder, load):
        metrics = json.loads((folder / "said.json").read_text())["benchmarks"][0]["metrics"]
        totals = metrics["request_totals"]
        said = Said(totals["successful"], totals["errored"])
        said.note = f"{totals['incomplete']} incomplete" if totals["incomplete"] else ""

        def value(name, key="mean"):
            good = (metrics.get(name) or {}).get("successful") or {}
            return good["percentiles"]["p99"] if key == "p99" and good else good.get(key)

        if said.ok:
            said.tokens = value("output_token_count", "total_sum")
            said.ttft_mean, said.ttft_p99 = value("time_to_first_token_ms"), value("time_to_first_token_ms", "p99")
            said.itl_mean, said.itl_p99 = value("inter_token_latency_ms"), value("inter_token_latency_ms", "p99")
        return said


CLIENTS = [Prony(), VllmRust(), SglangRust(), VllmPython(), GuideLLM(), AIPerf()]
