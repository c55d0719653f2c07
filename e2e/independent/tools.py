"""An MCP server on the official SDK, written without the tool in mind: it copies films into a folder.

    FAULTS=queue,short,clobber python tools.py

`queue` lets one copy run at a time, `short` ends every ninth copy half-way and calls it a success, `clobber` writes straight into
the final place over whatever is there. Without faults copies run side by side, whole, each to a name of its own. It prints
`ready http://127.0.0.1:PORT` and serves MCP at /mcp until it is ended. Loopback only.
"""

import hashlib
import os
import socket
import tempfile
from pathlib import Path

import anyio
import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

FAULTS = set(filter(None, os.environ.get("FAULTS", "").split(",")))
PIECES, PIECE_S = 8, 0.01
FILMS = {f"film-{k}": hashlib.sha256(str(k).encode()).digest() * 4096 for k in range(6)}
FOLDER = Path(tempfile.mkdtemp(prefix="films-"))
HIDDEN = Path(tempfile.mkdtemp(prefix="films-new-"))

server = MCPServer("film archive")
lock = anyio.Lock()
copies = 0


@server.tool()
async def list_films() -> dict:
    """The films there are."""
    return {"films": [{"film_id": name, "bytes": len(content)} for name, content in FILMS.items()]}


@server.tool()
async def export_film(film_id: str, filename: str | None = None) -> dict:
    """Copies a film into the folder."""
    if film_id not in FILMS:
        raise ToolError(f"no film {film_id}")
    place = FOLDER / Path(filename or f"{film_id}.bin").name
    if "queue" in FAULTS:
        async with lock:
            return await copy(film_id, place)
    return await copy(film_id, place)


async def copy(film_id, place) -> dict:
    global copies
    copies += 1
    content = FILMS[film_id]
    if "short" in FAULTS and copies % 9 == 0:
        content = content[: len(content) // 2]
    target = place if "clobber" in FAULTS else HIDDEN / str(copies)
    step = len(FILMS[film_id]) // PIECES
    with target.open("wb") as file:
        for piece in range(PIECES):
            file.write(content[piece * step : (piece + 1) * step])
            file.flush()
            await anyio.sleep(PIECE_S)
    if "clobber" not in FAULTS:
        stem, number = place.stem, 1
        while True:
            try:
                os.link(target, place)
                break
            except FileExistsError:
                number += 1
                place = place.with_stem(f"{stem}-{number}")
        target.unlink()
    return {"path": str(place)}


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"ready http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    app = server.streamable_http_app()
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
