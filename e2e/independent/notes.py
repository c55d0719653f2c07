"""A service that summarises notes: FastAPI on uvicorn or hypercorn, with a model that takes its time to load.

It was written without Prony in mind and knows nothing of it. What a service can do well and badly at its beginning and its end is a
switch of its environment:

    python notes.py --port 8000

LISTEN_AFTER_S   seconds before it listens.
LOAD_S           seconds that the model loads afterwards, in the background: /livez says yes meanwhile, /readyz does not.
LOAD_AGAIN_S     seconds that it loads where PIDFILE is there from an earlier start; those of LOAD_S by default.
EAGER=1          /readyz says yes before the model is loaded.
ON_TERM          `finish` (the default) ends what is in flight, `cut` dies at once, `ignore` goes on.
SERVER           `uvicorn` (the default) or `hypercorn`.
STORE            a file that keeps the count of notes over a restart; without one it is lost.
PIDFILE          a file that gets the number of the process.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from fastapi import FastAPI, Response
from pydantic import BaseModel, Field

WORK_S = 0.15
ON_TERM = os.environ.get("ON_TERM", "finish")
STORE = os.environ.get("STORE")
PIDFILE = os.environ.get("PIDFILE")
LOAD_S = float(os.environ.get("LOAD_S", "0"))
if PIDFILE and Path(PIDFILE).exists():
    LOAD_S = float(os.environ.get("LOAD_AGAIN_S", LOAD_S))
state = {"notes": 0, "loaded": False}


@contextlib.asynccontextmanager
async def life(app):
    if STORE and Path(STORE).exists():
        state["notes"] = int(Path(STORE).read_text())
    loading = asyncio.create_task(load())
    yield
    loading.cancel()
    if STORE:
        Path(STORE).write_text(str(state["notes"]))


async def load():
    print("\x1b[33mloading the model\x1b[0m", flush=True)
    await asyncio.sleep(LOAD_S)
    state["loaded"] = True
    print("the model is loaded, key", os.environ.get("NOTES_KEY", "none"), file=sys.stderr, flush=True)


app = FastAPI(title="Notes", version="2.1", lifespan=life)


class Note(BaseModel):
    text: str = Field(examples=["The harbour was quiet and the market was not."], min_length=1, max_length=2000)


@app.post("/v1/summarise")
async def summarise(note: Note, response: Response):
    if not state["loaded"]:
        response.status_code = 503
        return {"detail": "the model is still loading"}
    await asyncio.sleep(WORK_S)
    state["notes"] += 1
    words = note.text.split()
    return {"summary": " ".join(words[:3]), "words": len(words)}


@app.get("/v1/stats")
async def stats():
    return {"notes": state["notes"]}


@app.get("/livez")
async def livez():
    return {"alive": True}


@app.get("/readyz")
async def readyz(response: Response):
    ready = state["loaded"] or os.environ.get("EAGER") == "1"
    response.status_code = 200 if ready else 503
    return {"ready": ready}


def with_uvicorn(port):
    import uvicorn

    class Server(uvicorn.Server):
        """Leaves signals as they are, where it is told to."""

        @contextlib.contextmanager
        def capture_signals(self):
            if ON_TERM == "finish":
                with super().capture_signals():
                    yield
            else:
                signal.signal(signal.SIGTERM, {"cut": signal.SIG_DFL, "ignore": signal.SIG_IGN}[ON_TERM])
                yield

    Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning")).run()


def with_hypercorn(port):
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.graceful_timeout = 10.0

    async def main():
        ending = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
        await serve(app, config, shutdown_trigger=ending.wait)

    asyncio.run(main())


if __name__ == "__main__":
    asked = argparse.ArgumentParser()
    asked.add_argument("--port", type=int, required=True)
    port = asked.parse_args().port
    if PIDFILE:
        Path(PIDFILE).write_text(str(os.getpid()))
    time.sleep(float(os.environ.get("LISTEN_AFTER_S", "0")))
    {"uvicorn": with_uvicorn, "hypercorn": with_hypercorn}[os.environ.get("SERVER", "uvicorn")](port)
