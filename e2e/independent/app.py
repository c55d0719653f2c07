"""A small archive of spoken clips: list them, classify them, translate them, search them.

It was written without Prony in mind and knows nothing of it. It stands for the service that a stranger points the
tool at: FastAPI on uvicorn, its own paths and field names, and three mistakes that people make.

    python app.py --port 0                       all three faults (the default)
    FAULTS= python app.py --port 0               none: the clean twin
    FAULTS=blocking,deaf python app.py --port 0  some

blocking   `POST /v1/classify` is `async def` around work that blocks, so the server answers one request at a time.
deaf       `POST /v1/translate` takes `target_language` and pays no attention to it.
crash      `GET /v1/clips` trusts `page` and `per_page`, and dies with 500 on zero or negative ones.
"""

import argparse
import itertools
import math
import os
import random
import socket
import struct
import time
from typing import Annotated, Literal

import uvicorn
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

FAULTS = {name for name in os.environ.get("FAULTS", "blocking,deaf,crash").split(",") if name}
UNKNOWN = FAULTS - {"blocking", "deaf", "crash"}
if UNKNOWN:
    raise SystemExit(f"unknown fault: {', '.join(sorted(UNKNOWN))}")

SAMPLE_RATE = 8000
MODEL_S = 0.02  # how long the "model" of this service takes, without burning a core
LANGUAGES = ("de", "es", "fr", "it", "nl")
TOPICS = ("weather", "harbour", "market", "railway", "garden", "concert")
WORDS = {
    "de": "der Hafen der Markt das Wetter der Zug kommt heute nicht und niemand wartet".split(),
    "es": "el puerto el mercado el tiempo el tren no llega hoy y nadie espera".split(),
    "fr": "le port le marché le temps le train ne vient pas et personne attend".split(),
    "it": "il porto il mercato il tempo il treno oggi non arriva e nessuno aspetta".split(),
    "nl": "de haven de markt het weer de trein komt vandaag niet en niemand wacht".split(),
}


class Clip:
    """One recording, synthesised from its own seed, with the features that the classifier looks at."""

    def __init__(self, number: int):
        rng = random.Random(number * 7919 + 13)
        self.clip_id = f"clip-{number:03d}"
        self.title = f"{rng.choice(TOPICS)} {rng.choice(TOPICS)} take {number}"
        self.seconds = round(rng.uniform(0.2, 0.6), 2)
        tones = [(rng.uniform(90, 1800), rng.uniform(0.1, 0.4)) for _ in range(3)]
        count = int(self.seconds * SAMPLE_RATE)
        self.samples = [
            sum(level * math.sin(math.tau * pitch * i / SAMPLE_RATE) for pitch, level in tones) for i in range(count)
        ]
        self.energy = sum(s * s for s in self.samples) / count
        self.crossings = sum(a * b < 0 for a, b in itertools.pairwise(self.samples)) / count

    def wave(self) -> bytes:
        body = b"".join(struct.pack("<h", int(max(-1.0, min(1.0, s)) * 32767)) for s in self.samples)
        head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(body), b"WAVE", b"fmt ", 16, 1, 1, SAMPLE_RATE,
                           SAMPLE_RATE * 2, 2, 16, b"data", len(body))
        return head + body


ARCHIVE = {clip.clip_id: clip for clip in map(Clip, range(1, 25))}
app = FastAPI(title="Clip archive", version="2.3.1", openapi_url=os.environ.get("OPENAPI_URL", "/openapi.json"))


@app.exception_handler(RequestValidationError)
def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
    """FastAPI's own handler repeats the input, and fails itself where that is no valid JSON (1e400, half a surrogate pair)."""
    return JSONResponse({"detail": [{key: e[key] for key in ("type", "loc", "msg")} for e in error.errors()]}, 422)


def clip_or_404(clip_id: str) -> Clip:
    clip = ARCHIVE.get(clip_id)
    if clip is None:
        raise HTTPException(404, f"no clip {clip_id[:64]!r}")
    return clip


class ClassifyRequest(BaseModel):
    clip_id: str = Field(min_length=1, max_length=80)
    labels: int = Field(default=3, ge=1, le=6, description="how many labels to return")


class TranslateRequest(BaseModel):
    clip_id: str = Field(min_length=1, max_length=80)
    target_language: Literal["de", "es", "fr", "it", "nl"]


class SearchRequest(BaseModel):
    phrase: str = Field(min_length=1, max_length=200)
    hits: int = Field(default=5, ge=1, le=24)


@app.get("/internal/live")
def live():
    return {"alive": True, "clips": len(ARCHIVE)}


@app.get("/v1/engine")
def engine():
    return {"engine": "tone-classifier", "revision": "2026-09", "ready": True, "languages": LANGUAGES}


def page_of(page: int, per_page: int) -> dict:
    pages = math.ceil(len(ARCHIVE) / per_page)
    start = (page - 1) * per_page
    rows = itertools.islice(ARCHIVE.values(), start, start + per_page)
    return {
        "page": page,
        "pages": pages,
        "items": [{"clip_id": c.clip_id, "title": c.title, "seconds": c.seconds} for c in rows],
    }


if "crash" in FAULTS:

    @app.get("/v1/clips")
    def clips(page: int = 1, per_page: int = 10):
        return page_of(page, per_page)

else:

    @app.get("/v1/clips")
    def clips(page: Annotated[int, Query(ge=1, le=1000)] = 1, per_page: Annotated[int, Query(ge=1, le=100)] = 10):
        return page_of(page, per_page)


@app.get("/v1/clips/{clip_id}")
def clip(clip_id: str):
    found = clip_or_404(clip_id)
    return {"clip_id": found.clip_id, "title": found.title, "seconds": found.seconds, "rate_hz": SAMPLE_RATE}


@app.get("/v1/clips/{clip_id}/audio", response_class=Response, responses={200: {"content": {"audio/wav": {}}}})
def audio(clip_id: str):
    return Response(clip_or_404(clip_id).wave(), media_type="audio/wav")


def classify_clip(request: ClassifyRequest) -> dict:
    found = clip_or_404(request.clip_id)
    time.sleep(MODEL_S)
    raw = [math.cos(5 * i + 40 * found.crossings) + 6 * found.energy * math.sin(i + 1) for i in range(len(TOPICS))]
    total = sum(math.exp(r) for r in raw)
    ranked = sorted(((math.exp(r) / total, topic) for r, topic in zip(raw, TOPICS, strict=True)), reverse=True)
    return {
        "clip_id": found.clip_id,
        "labels": [{"topic": topic, "weight": round(weight, 4)} for weight, topic in ranked[: request.labels]],
    }


if "blocking" in FAULTS:

    @app.post("/v1/classify")
    async def classify(request: ClassifyRequest):
        return classify_clip(request)

else:

    @app.post("/v1/classify")
    def classify(request: ClassifyRequest):
        return classify_clip(request)


@app.post("/v1/translate")
def translate(request: TranslateRequest):
    found = clip_or_404(request.clip_id)
    time.sleep(MODEL_S / 2)
    language = "de" if "deaf" in FAULTS else request.target_language
    rng = random.Random(f"{found.clip_id}/{language}")
    return {
        "clip_id": found.clip_id,
        "target_language": request.target_language,
        "text": " ".join(rng.choice(WORDS[language]) for _ in range(12)),
    }


@app.post("/v1/search")
def search(request: SearchRequest):
    time.sleep(MODEL_S / 2)
    wanted = trigrams(request.phrase)
    # A small share of the score comes from a hash of the phrase, so that even nonsense has an order of its own.
    scored = sorted(
        (
            (len(wanted & trigrams(c.title)) / len(wanted) + random.Random(request.phrase + c.clip_id).random() / 50, c)
            for c in ARCHIVE.values()
        ),
        key=lambda pair: -pair[0],
    )
    return {
        "phrase": request.phrase,
        "results": [{"clip_id": c.clip_id, "score": round(score, 4)} for score, c in scored[: request.hits]],
    }


def trigrams(text: str) -> set[str]:
    padded = f"  {text.lower()} "
    return {padded[i : i + 3] for i in range(len(padded) - 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description="the clip archive")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    listener = socket.create_server(("127.0.0.1", parser.parse_args().port), backlog=1024)
    # asyncio sets this only on sockets that name their protocol; without it every answer waits 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"ready http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False))
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
