"""A media server on FastMCP, with the tools that suites/media.toml calls: a server by others around tools of our own.

    python fastmcp_media.py PORT FOLDER       over streamable HTTP, at /mcp, without sessions; loopback only
    python fastmcp_media.py stdio FOLDER      over standard input and output, in a folder of the process's own

Protocol, schemas, sessions and errors are FastMCP's. The tools make films and pictures out of numbers, side by side, write each
file beside its place, and put it there whole; a name that is taken gets a number.
"""

import base64
import os
import sys
import time
from itertools import count
from pathlib import Path

import anyio
import uvicorn
from fastmcp import FastMCP
from fastmcp.exceptions import ToolError

PORT, FOLDER = sys.argv[1], Path(sys.argv[2])
if PORT == "stdio":
    FOLDER /= str(os.getpid())
VIDEOS, IMAGES, HIDDEN = FOLDER / "videos", FOLDER / "images", FOLDER / "new"
# A job takes so long, and so do the pieces of a transfer.
JOB_S, PIECES, PIECE_S = 0.2, 4, 0.01

server = FastMCP("media by others")
jobs: dict[str, float] = {f"video_{k}": 0.0 for k in range(4)}
numbers = count(1)


def content(name: str, size: int) -> bytes:
    return (name.encode() * (size // len(name) + 1))[:size]


def place_in(folder: Path, name: str) -> Path:
    if Path(name).name != name:
        raise ToolError(f"Invalid filename: path traversal detected in '{name}'")
    return folder / name


async def write(place: Path, whole: bytes) -> Path:
    """Piece by piece, as they come; in its place when it is whole."""
    new = HIDDEN / str(next(numbers))
    step = -(-len(whole) // PIECES)
    async with await anyio.open_file(new, "wb") as file:
        for at in range(0, len(whole), step):
            await file.write(whole[at : at + step])
            await anyio.sleep(PIECE_S)
    stem = place.stem
    for number in count(2):
        try:
            os.link(new, place)
            break
        except FileExistsError:
            place = place.with_stem(f"{stem}-{number}")
    new.unlink()
    return place


def begin(kind: str) -> str:
    name = f"{kind}_{next(numbers)}"
    jobs[name] = time.monotonic()
    return name


def status(name: str) -> str:
    if name not in jobs:
        raise ToolError(f"no job {name}")
    return "completed" if time.monotonic() - jobs[name] >= JOB_S else "in_progress"


@server.tool(annotations={"readOnlyHint": True})
async def list_videos(limit: int = 20, after: str | None = None, order: str = "desc") -> dict:
    """The videos there are."""
    names = sorted((name for name in jobs if name.startswith("video_")), reverse=order == "desc")
    return {"data": [{"id": name, "status": status(name)} for name in names[:limit]], "has_more": len(names) > limit}


@server.tool
async def create_video(prompt: str, model: str = "sora-2", seconds: str = "4", size: str = "720x1280") -> dict:
    """Begins a video."""
    return {"id": begin("video"), "status": "queued", "prompt": prompt}


@server.tool(annotations={"readOnlyHint": True})
async def get_video_status(video_id: str) -> dict:
    """How far a video is."""
    now = status(video_id)
    return {"id": video_id, "status": now, "progress": 100 if now == "completed" else 50}


@server.tool
async def download_video(video_id: str, filename: str | None = None, variant: str = "video") -> dict:
    """Writes a video, or its thumbnail, into the folder."""
    end, size = ("mp4", 256 << 10) if variant == "video" else ("webp", 16 << 10)
    place = place_in(VIDEOS, filename or f"{video_id}.{end}")
    if status(video_id) != "completed":
        raise ToolError(f"{video_id} is not completed")
    place = await write(place, content(f"{video_id} {variant} ", size))
    return {"filename": place.name, "path": str(place), "variant": variant}


@server.tool(annotations={"readOnlyHint": True})
async def list_reference_images() -> dict:
    """The pictures that there are to begin with."""
    return {"data": [{"filename": "square.webp", "bytes": 1024}]}


@server.tool
async def prepare_reference_image(input_filename: str, target_size: str, output_filename: str | None = None) -> dict:
    """Another size of a picture."""
    if input_filename != "square.webp":
        raise ToolError(f"File not found: {input_filename}")
    width, height = map(int, target_size.split("x"))
    place = await write(place_in(IMAGES, output_filename or "resized.png"), content(target_size, width * height // 16))
    return {"filename": place.name, "path": str(place), "size": target_size}


@server.tool
async def create_image(prompt: str) -> dict:
    """Begins a picture."""
    return {"id": begin("image"), "status": "queued", "prompt": prompt}


@server.tool(annotations={"readOnlyHint": True})
async def get_image_status(response_id: str) -> dict:
    """How far a picture is."""
    return {"id": response_id, "status": status(response_id)}


@server.tool
async def download_image(response_id: str, filename: str | None = None) -> dict:
    """Writes a picture, which comes as base64, into the folder."""
    place = place_in(IMAGES, filename or f"{response_id}.png")
    if status(response_id) != "completed":
        raise ToolError(f"{response_id} is not completed")
    came = base64.b64encode(content(response_id, 64 << 10))
    place = await write(place, base64.b64decode(came))
    return {"filename": place.name, "path": str(place)}


if __name__ == "__main__":
    for folder in (VIDEOS, IMAGES, HIDDEN):
        folder.mkdir(parents=True)
    if PORT == "stdio":
        server.run(transport="stdio", show_banner=False)
    else:
        app = server.http_app(path="/mcp", stateless_http=True)
        uvicorn.run(app, host="127.0.0.1", port=int(PORT), log_level="warning")
