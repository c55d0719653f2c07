"""The presets `media` and `media-fixed`: the official MCP SDK over both transports, and plain clients that see each planted fault."""

import asyncio
import hashlib
import json
import os
import subprocess
import threading
import time
from pathlib import Path

import httpx
import jsonschema
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from conftest import binary

TOOLS = {
    "create_video",
    "get_video_status",
    "download_video",
    "list_videos",
    "delete_video",
    "remix_video",
    "list_reference_images",
    "prepare_reference_image",
    "create_image",
    "get_image_status",
    "download_image",
}
# A generation service without failures, small and quick.
CALM = ["reject_rate=0", "error_rate=0", "truncate_rate=0", "latency_ms=1", "video_mib=0.0625", "reference_px=192", "image_px=64"]
SOON = ["queue_s=0.2", "render_s=0.3"]
HEADERS = {"accept": "application/json, text/event-stream"}


def sets(knobs) -> list:
    return [word for knob in knobs for word in ("--set", knob)]


class Media:
    """A running preset, as a plain client sees it and as its truth is."""

    def __init__(self, server):
        self.server, self.url, self.admin = server, server.url, server.admin
        self.upstream = self.truth()["upstream_url"]

    def truth(self) -> dict:
        """What is true once every transfer is in the account: a client may have its last byte a moment before that."""
        for _ in range(200):
            truth = httpx.get(self.admin + "/truth").json()
            if truth["upstream"]["transfers"]["in_flight"] == 0:
                return truth
            time.sleep(0.01)
        raise AssertionError(truth["upstream"]["transfers"])

    def videos(self) -> list:
        return [video["id"] for video in httpx.get(self.upstream + "/v1/videos?limit=100&order=asc").json()["data"]]

    def reference(self, video, variant="video") -> bytes:
        """One fetch to compare with."""
        return httpx.get(f"{self.upstream}/v1/videos/{video}/content?variant={variant}").content

    def digest(self, video) -> str:
        """The digest of a content, without the content."""
        url = f"{self.upstream}/v1/videos/{video}/content"
        return httpx.get(url, headers={"range": "bytes=0-0"}).headers["etag"].strip('"')

    def counted(self, route="") -> dict:
        """What the generation service itself says that it answered: requests by status."""
        counts = {}
        for line in httpx.get(self.upstream + "/metrics").text.splitlines():
            if line.startswith("http_requests_total{") and f'path="{route}' in line:
                status = line.split('status="')[1][:3]
                counts[status] = counts.get(status, 0) + int(line.rsplit(" ", 1)[1])
        return counts


@pytest.fixture
def media(server):
    """Starts a preset: `media("media-fixed", "knob=value", ...)`, with its platform's times at a twentieth."""

    def media(preset, *knobs, scale="0.05"):
        command = [binary(), "serve", preset, "--port", 0, "--admin-port", 0, "--time-scale", scale]
        return Media(server(*command, *sets([*CALM, *knobs])))

    return media


def message(method, params=None, number=1) -> dict:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}}


def answer(response) -> dict:
    """The JSON-RPC answer, out of JSON or of the last event."""
    if response.headers["content-type"].startswith("text/event-stream"):
        data = [line[5:].strip() for line in response.text.splitlines() if line.startswith("data:")]
        return json.loads([one for one in data if one][-1])
    return response.json()


async def at_once(media, calls, pooled=64):
    """Tool calls by a plain client, all started together: what each gave, and how long it took from the common start."""
    limits = httpx.Limits(max_connections=pooled)
    async with httpx.AsyncClient(headers=HEADERS, timeout=60, limits=limits) as client:

        async def one(name, arguments):
            begun = time.perf_counter()
            reply = await client.post(media.url + "/mcp", json=message("tools/call", {"name": name, "arguments": arguments}))
            return answer(reply)["result"], time.perf_counter() - begun

        return await asyncio.gather(*(one(name, arguments) for name, arguments in calls))


def call(media, name, **arguments) -> dict:
    """One tool call by a plain client."""
    return asyncio.run(at_once(media, [(name, arguments)]))[0][0]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# ---- the official SDK, both transports


def stdio(preset, *knobs):
    command = ["serve", preset, "--stdio", "--time-scale", "0.05", *sets([*CALM, *SOON, *knobs])]
    return StdioServerParameters(command=str(binary()), args=command, env=dict(os.environ))


TRANSPORTS = ["stdio", "sse", "json", "sessions"]


@pytest.mark.parametrize("preset", ["media", "media-fixed"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_tool_through_the_official_sdk(media, tmp_path, preset, transport):
    folder = f"folder={tmp_path / 'media'}"
    if transport == "stdio":
        target, mode = stdio(preset, folder), "auto"
    else:
        knob = "sessions=true" if transport == "sessions" else f"answers={transport}"
        target, mode = media(preset, *SOON, knob, folder).url + "/mcp", "legacy" if transport == "sessions" else "auto"
    asyncio.run(asyncio.wait_for(every_tool(target, mode, tmp_path / "media"), 60))


async def every_tool(target, mode, folder):
    async with Client(target, mode=mode) as client:
        listed = (await client.list_tools()).tools
        assert {tool.name for tool in listed} == TOOLS
        schemas = {tool.name: tool for tool in listed}
        for tool in listed:
            jsonschema.Draft202012Validator.check_schema(tool.input_schema)
            jsonschema.Draft202012Validator.check_schema(tool.output_schema)
        used = set()

        async def use(name, **arguments):
            jsonschema.validate(arguments, schemas[name].input_schema)
            result = await client.call_tool(name, arguments)
            assert not result.is_error, (name, result.content)
            jsonschema.validate(result.structured_content, schemas[name].output_schema)
            assert json.loads(result.content[0].text) == result.structured_content
            used.add(name)
            return result.structured_content

        async def until_done(name, **arguments):
            seen = []
            for _ in range(400):
                job = await use(name, **arguments)
                seen.append((job["status"], job.get("progress", 0)))
                if job["status"] == "completed":
                    assert seen == sorted(seen, key=lambda one: (["queued", "in_progress", "completed"].index(one[0]), one[1]))
                    return job
                await asyncio.sleep(0.005)
            raise AssertionError(seen)

        images = await use("list_reference_images", sort_by="name", order="asc")
        assert [image["filename"] for image in images["data"]] == ["landscape.jpg", "portrait.png", "square.webp"]
        ready = await use("prepare_reference_image", input_filename="square.webp", target_size="1280x720", resize_mode="pad")
        assert ready["original_size"] == [192, 192] and ready["target_size"] == [1280, 720]
        head = Path(ready["path"]).read_bytes()[:24]
        assert head[:8] == b"\x89PNG\r\n\x1a\n" and [int.from_bytes(head[16:20]), int.from_bytes(head[20:24])] == [1280, 720]
        job = await use(
            "create_video", prompt="A boat", size="1280x720", seconds="8", input_reference_filename=ready["output_filename"]
        )
        assert job["status"] == "queued" and job["seconds"] == "8"
        await until_done("get_video_status", video_id=job["id"])
        kinds = {"video": (b"ftyp", 4), "thumbnail": (b"WEBP", 8), "spritesheet": (b"\xff\xd8\xff", 0)}
        for variant, (magic, at) in kinds.items():
            got = await use("download_video", video_id=job["id"], variant=variant)
            content = Path(got["path"]).read_bytes()
            assert Path(got["path"]).parent == folder / "videos" and content[at : at + len(magic)] == magic
        assert (folder / "videos" / f"{job['id']}.mp4").stat().st_size == 65536
        remix = await use("remix_video", previous_video_id=job["id"], prompt="At night")
        assert remix["remixed_from_video_id"] == job["id"] and remix["id"] != job["id"]
        page = await use("list_videos", limit=3)
        assert [video["id"] for video in page["data"]][:2] == [remix["id"], job["id"]] and page["has_more"]
        rest = await use("list_videos", limit=100, after=page["last"])
        assert len(rest["data"]) == 7 and not rest["has_more"]
        assert (await use("delete_video", video_id=job["id"]))["deleted"] is True
        gone = await client.call_tool("get_video_status", {"video_id": job["id"]})
        assert gone.is_error and "Error code: 404" in gone.content[0].text
        drawing = await use("create_image", prompt="A lighthouse", input_images=["portrait.png"])
        await until_done("get_image_status", response_id=drawing["id"])
        picture = await use("download_image", response_id=drawing["id"], filename="drawing.png")
        assert picture["size"] == [64, 64] and picture["format"] == "png" and Path(picture["path"]).is_file()
        assert used == TOOLS


def test_stdio_is_json_rpc_alone_and_ends_with_its_input():
    asked = [
        message("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "plain", "version": "1"}}),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        message("tools/call", {"name": "list_videos", "arguments": {}}, 2),
        message("tools/call", {"name": "no_such_tool", "arguments": {}}, 3),
    ]
    command = [binary(), "serve", "media", "--stdio", "--admin-port", "0", *sets(CALM)]
    text = "".join(json.dumps(one) + "\n" for one in asked)
    done = subprocess.run(list(map(str, command)), input=text, capture_output=True, text=True, timeout=60)
    said = {one["id"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0 and "ready admin http://127.0.0.1" in done.stderr and "upstream http://" in done.stderr
    assert sorted(said) == [1, 2, 3]
    assert said[1]["result"]["serverInfo"]["name"] == "sanzaru"
    assert len(said[2]["result"]["structuredContent"]["data"]) == 8
    assert said[3]["error"]["code"] == -32602


def test_only_what_speaks_over_stdio_does(prony):
    done = prony("serve", "truth", "--stdio")
    assert done.code == 64 and "HTTP only" in done.text


def test_a_service_in_another_process(media, prony):
    first = media("media")
    second = media("media-fixed", f"upstream={first.upstream}")
    got = call(second, "download_video", video_id=first.videos()[0])["structuredContent"]
    assert got["sha256"] == sha256(first.reference(first.videos()[0])) and second.upstream == first.upstream
    done = prony("serve", "media", "--port", "0", "--set", "upstream=http://192.0.2.1:80")
    assert done.code == 64 and "loopback" in done.text


# ---- MCP as HTTP sees it


@pytest.mark.parametrize("sessions", [False, True])
def test_streamable_http(media, sessions):
    one = media("media", f"sessions={str(sessions).lower()}")
    with httpx.Client(base_url=one.url, headers=HEADERS, timeout=30) as client:
        start = message(
            "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "plain", "version": "1"}}
        )
        begun = client.post("/mcp", json=start, headers={"x-request-id": "mine"})
        assert begun.status_code == 200 and begun.headers["x-request-id"] == "mine"
        assert answer(begun)["result"]["protocolVersion"] == "2025-06-18"
        session = {"mcp-session-id": begun.headers["mcp-session-id"]} if sessions else {}
        assert ("mcp-session-id" in begun.headers) == sessions
        told = client.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=session)
        assert (told.status_code, told.content) == (202, b"")
        assert "tools" in answer(client.post("/mcp", json=message("tools/list"), headers=session))["result"]
        bad = client.post("/mcp", json=message("tools/list"), headers={"mcp-protocol-version": "1999-01-01", **session})
        assert bad.status_code == 400
        assert client.post("/mcp", json=message("tools/list"), headers={"accept": "application/json", **session}).status_code == 406
        assert client.post("/mcp", content=b"{", headers={"content-type": "application/json", **session}).status_code == 415
        assert client.put("/mcp").status_code == 405
        if not sessions:
            assert client.get("/mcp").status_code == 405 and client.delete("/mcp").status_code == 405
            return
        assert client.post("/mcp", json=message("tools/list")).status_code in (400, 422)
        other = {"mcp-session-id": "none"}
        assert client.post("/mcp", json=message("tools/list"), headers=other).status_code == 404
        assert client.get("/mcp").status_code == 400
        with client.stream("GET", "/mcp", headers={"accept": "text/event-stream", **session}) as stream:
            assert stream.status_code == 200 and stream.headers["content-type"].startswith("text/event-stream")
        assert client.delete("/mcp", headers=session).status_code in (200, 202, 204)
        assert client.post("/mcp", json=message("tools/list"), headers=session).status_code == 404


def test_documents_and_account(media):
    one = media("media-fixed")
    for url in (one.url, one.upstream):
        document = httpx.get(url + "/openapi.json").json()
        assert document["openapi"].startswith("3.1") and document["paths"]
        for schema in document["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)
        assert "/openapi.json" in httpx.get(url + "/docs").text
        assert httpx.get(url + "/health").json() == {"status": "ok"}
    call(one, "list_videos")
    truth = one.truth()
    assert truth["endpoints"]["POST /mcp"]["statuses"] == {"200": 1}
    assert truth["tools"]["endpoints"]["tools/call list_videos"]["count"] == 1
    assert truth["faults"] == [] and {fault["id"] for fault in media("media").truth()["faults"]} == {"Z1", "Z2", "Z3", "Z4"}


def test_a_temporary_folder_goes_with_its_server(media, tmp_path):
    one = media("media")
    folder = Path(one.truth()["folder"])
    assert call(one, "download_video", video_id=one.videos()[0])["isError"] is False and any((folder / "videos").iterdir())
    one.server.end()
    assert not folder.exists()
    kept = media("media", f"folder={tmp_path}")
    kept.server.end()
    assert (tmp_path / "images" / "square.webp").is_file()


ERRORS = [
    ("download_video", {"video_id": "x", "filename": "../x.mp4"}, "Invalid filename: path traversal detected in '../x.mp4'"),
    ("prepare_reference_image", {"input_filename": "none.png", "target_size": "720x1280"}, "File not found: none.png"),
    ("prepare_reference_image", {"input_filename": "notes.txt", "target_size": "720x1280"}, "Unsupported file type: .txt. Use: JPEG, PNG, or WEBP"),
    ("create_video", {"prompt": "x", "input_reference_filename": "notes.txt"}, "Unsupported file type: .txt. Use: JPEG, PNG, or WEBP"),
    ("create_video", {"prompt": "x", "input_reference_filename": "link.png"}, "cannot be a symbolic link: link.png"),
    ("create_video", {"prompt": "x", "input_reference_filename": "square.webp"}, "Inpaint image must match"),
    ("create_image", {"prompt": "x", "mask_filename": "portrait.png"}, "mask_filename requires input_images parameter"),
    ("download_video", {}, "1 validation error for download_videoArguments\nvideo_id\n  Field required"),
    ("download_video", {"video_id": "x", "variant": "film"}, "Input should be 'video', 'thumbnail' or 'spritesheet'"),
    ("download_video", {"video_id": "video_none"}, "Error code: 404"),
]


def test_errors_are_those_of_the_observed_server(media, tmp_path):
    one = media("media", f"folder={tmp_path}")
    (tmp_path / "images" / "notes.txt").write_text("no picture")
    (tmp_path / "images" / "link.png").symlink_to("portrait.png")
    for name, arguments, text in ERRORS:
        result = call(one, name, **arguments)
        assert result["isError"] and text in result["content"][0]["text"], result
        assert result["content"][0]["text"].startswith(f"Error executing tool {name}: ")


@pytest.mark.parametrize(
    "unset, name, arguments, text",
    [
        ("video_path", "download_video", {"video_id": "x"}, "VIDEO_PATH environment variable is not set or is empty"),
        ("image_path", "list_reference_images", {}, "IMAGE_PATH environment variable is not set or is empty"),
        ("api_key", "list_videos", {}, "OPENAI_API_KEY is not set"),
    ],
)
def test_settings_that_were_forgotten(media, unset, name, arguments, text):
    result = call(media("media", f"unset={unset}"), name, **arguments)
    assert result["isError"] and text in result["content"][0]["text"]


# ---- the planted faults


@pytest.mark.parametrize("preset, serial", [("media", True), ("media-fixed", False)])
def test_z1_downloads_one_at_a_time(media, preset, serial):
    one = media(preset, "video_mib=0.25", "pace_mib_s=1")
    videos = one.videos()
    assert len(videos) == 8
    done = asyncio.run(at_once(one, [("download_video", {"video_id": video}) for video in videos]))
    contents = [Path(result["structuredContent"]["path"]).read_bytes() for result, _ in done]
    # One fetch in another way, and of the rest the tag, which is the digest.
    assert contents[0] == one.reference(videos[0])
    assert [(len(content), sha256(content)) for content in contents] == [(262144, one.digest(video)) for video in videos]
    assert len(set(contents)) == 8
    truth = one.truth()
    took = sorted(took for _, took in done)
    # A staircase, or all together.
    if serial:
        assert took[-1] > 4 * took[0] and truth["downloads"]["in_flight_max"] == 1 and truth["lock"]["count"] == 7
    else:
        assert took[-1] < 4 * took[0] and truth["downloads"]["in_flight_max"] >= 4 and truth["lock"]["count"] == 0


@pytest.mark.parametrize("preset", ["media", "media-fixed"])
def test_z2_a_truncated_download_is_a_success(media, preset):
    one = media(preset, "truncate_rate=0.6", "retries=20", "pace_mib_s=0", scale="0.001")
    results = [call(one, "download_video", video_id=video, filename=f"{n}.mp4") for n, video in enumerate(one.videos())]
    assert not any(result["isError"] for result in results)
    sizes = [Path(result["structuredContent"]["path"]).stat().st_size for result in results]
    truth = one.truth()
    assert truth["upstream"]["truncated"]["cut"] >= 1 and truth["upstream"]["truncated"]["short"] >= 1
    if preset == "media":
        short = [size for size in sizes if size < 65536]
        assert 2 <= len(short) < 8 and len(short) == sum(truth["upstream"]["truncated"].values())
        return
    assert sizes == [65536] * 8
    # What was cut is taken up again where it ended.
    assert any("206" in statuses for statuses in truth["upstream"]["statuses"].values())
    for video, result in zip(one.videos(), results):
        whole = b""
        while len(whole) < 65536:  # this client, too, has to ask again
            try:
                whole = one.reference(video)
            except httpx.RemoteProtocolError:
                continue
        assert result["structuredContent"]["sha256"] == sha256(whole)


def test_z2_gives_up_rather_than_lie(media):
    one = media("media-fixed", "truncate_rate=1", scale="0.001")
    result = call(one, "download_video", video_id=one.videos()[0])
    assert result["isError"] and "Download incomplete" in result["content"][0]["text"]
    assert list((Path(one.truth()["folder"]) / "videos").iterdir()) == []


@pytest.mark.parametrize("preset, direct", [("media", True), ("media-fixed", False)])
def test_z3_partial_files_and_a_second_writer(media, tmp_path, preset, direct):
    one = media(preset, f"folder={tmp_path}", "video_mib=0.25", "pace_mib_s=1")
    seen, stop = [], threading.Event()

    def watch():
        while not stop.is_set():
            seen.extend(file.stat().st_size for file in (tmp_path / "videos").iterdir())
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    first, second = one.videos()[:2]
    done = asyncio.run(at_once(one, [("download_video", {"video_id": video, "filename": "same.mp4"}) for video in (first, second)]))
    stop.set()
    watcher.join()
    paths = [result["structuredContent"]["path"] for result, _ in done]
    assert not any(result["isError"] for result, _ in done)
    assert any(size < 262144 for size in seen) == direct
    truth = one.truth()["files"]
    if direct:
        assert paths[0] == paths[1] and truth["overwritten"] == 1 and len(list((tmp_path / "videos").iterdir())) == 1
        return
    assert paths[0] != paths[1] and (truth["overwritten"], truth["renamed"]) == (0, 1)
    for video, path in zip((first, second), paths):
        assert sha256(Path(path).read_bytes()) == sha256(one.reference(video))


@pytest.mark.parametrize("preset, silent", [("media", True), ("media-fixed", False)])
def test_z4_retries_hide_what_failed(media, preset, silent):
    one = media(preset, "error_rate=0.3", "reject_rate=0.2", "retries=20", scale="0.001")
    results = [call(one, "list_videos")["structuredContent"] for _ in range(20)]
    upstream = one.counted()
    failures = sum(count for status, count in upstream.items() if status != "200")
    assert upstream["200"] == 20 and failures >= 5, upstream
    assert one.truth()["client"]["retries"] and sum(one.truth()["client"]["retries"].values()) == failures
    if silent:
        assert all("upstream" not in result for result in results)
    else:
        assert sum(result["upstream"]["attempts"] for result in results) == 20 + failures
        told = [failure["cause"] for result in results for failure in result["upstream"]["failures"]]
        assert sorted(told) == sorted(status for status, count in upstream.items() if status != "200" for _ in range(count))


def test_sum_over_wall_measures_the_queue(media):
    """Seed 4's metric, by a plain driver: eight pictures on one thread look 4.5 times as fast as one after the other; they are not."""
    one, n = media("media", "cpu_threads=1", "reference_px=512"), 8
    ask = {"input_filename": "square.webp", "target_size": "720x1280"}
    begun = time.perf_counter()
    for k in range(n):
        call(one, "prepare_reference_image", **ask, output_filename=f"serial_{k}.png")
    serial = time.perf_counter() - begun
    calls = [("prepare_reference_image", ask | {"output_filename": f"at_once_{k}.png"}) for k in range(n)]
    begun = time.perf_counter()
    took = [took for _, took in asyncio.run(at_once(one, calls))]
    wall = time.perf_counter() - begun
    assert sum(took) / wall == pytest.approx((n + 1) / 2, rel=0.25)
    assert serial / wall < 2.5
    cpu = one.truth()["cpu"]
    assert cpu["tasks"] == {"in_flight": 0, "in_flight_max": 1, "begun": 2 * n}


# ---- the generation service, as a plain client sees it


def test_contents(media):
    one = media("media", "queue_s=0", "render_s=0", "expires_s=100", scale="1")
    url = f"{one.upstream}/v1/videos/{one.videos()[0]}/content"
    whole = httpx.get(url)
    tag, content = whole.headers["etag"], whole.content
    assert whole.status_code == 200 and whole.headers["content-type"] == "video/mp4" and whole.headers["accept-ranges"] == "bytes"
    assert int(whole.headers["content-length"]) == len(content) == 65536 and tag == f'"{sha256(content)}"'
    assert httpx.get(url, headers={"x-request-id": "abc"}).headers["x-request-id"] == "abc"
    for asked, told, part in [
        ("bytes=0-99", "bytes 0-99/65536", content[:100]),
        ("bytes=65000-", "bytes 65000-65535/65536", content[65000:]),
        ("bytes=65000-70000", "bytes 65000-65535/65536", content[65000:]),
        ("bytes=-7", "bytes 65529-65535/65536", content[-7:]),
    ]:
        reply = httpx.get(url, headers={"range": asked})
        assert (reply.status_code, reply.headers["content-range"], reply.content) == (206, told, part)
        assert reply.headers["etag"] == tag
    reply = httpx.get(url, headers={"range": "bytes=65536-"})
    assert (reply.status_code, reply.headers["content-range"]) == (416, "bytes */65536")
    assert httpx.get(url, headers={"range": "bytes=0-9", "if-range": tag}).status_code == 206
    assert httpx.get(url, headers={"range": "bytes=0-9", "if-range": '"other"'}).content == content
    for ignored in ("bytes=9-1", "lines=0-1"):
        assert httpx.get(url, headers={"range": ignored}).content == content
    assert httpx.get(url, headers={"if-none-match": tag}).status_code == 304
    assert httpx.get(url, params={"variant": "thumbnail"}).headers["content-type"] == "image/webp"
    assert httpx.get(url, params={"variant": "spritesheet"}).headers["content-type"] == "image/jpeg"
    assert httpx.get(url, params={"variant": "film"}).status_code == 400
    assert httpx.get(one.upstream + "/v1/videos/none/content").json()["error"]["code"] == "not_found"
    assert httpx.put(url).status_code == 405 and httpx.put(url).headers["allow"] == "GET"


def test_jobs_and_lists(media):
    one = media("media", "queue_s=4", "render_s=4", "videos=5")
    client = httpx.Client(base_url=one.upstream)
    assert client.post("/v1/videos", json={"seconds": "4"}).json()["error"]["param"] == "prompt"
    for wrong in ({"model": "sora-9"}, {"seconds": "5"}, {"size": "1x1"}, {"prompt": ""}):
        reply = client.post("/v1/videos", json={"prompt": "A boat"} | wrong)
        assert reply.status_code == 400 and reply.json()["error"]["param"] in wrong, reply.text
    assert client.post("/v1/videos", content=b"{", headers={"content-type": "application/json"}).status_code == 400
    assert client.post("/v1/videos", content=b"x", headers={"content-type": "text/plain"}).status_code == 415
    job = client.post("/v1/videos", json={"prompt": "A boat"}).json()
    assert (job["status"], job["progress"], job["completed_at"]) == ("queued", 0, None)
    early = client.get(f"/v1/videos/{job['id']}/content")
    assert early.status_code == 404 and early.json()["error"]["code"] == "video_not_ready"
    assert client.post(f"/v1/videos/{job['id']}/remix", json={"prompt": "x"}).status_code == 400
    states = []
    while not states or states[-1][0] != "completed":
        state = client.get(f"/v1/videos/{job['id']}").json()
        states.append((state["status"], state["progress"]))
    assert {status for status, _ in states} == {"queued", "in_progress", "completed"}
    assert [progress for _, progress in states] == sorted(progress for _, progress in states)
    pages, after = [], {}
    while True:
        page = client.get("/v1/videos", params={"limit": 4, "order": "asc"} | after).json()
        pages.append([video["id"] for video in page["data"]])
        if not page["has_more"]:
            break
        after = {"after": page["last_id"]}
    assert [len(page) for page in pages] == [4, 2] and pages[1][-1] == job["id"]
    assert client.get("/v1/videos", params={"order": "desc", "limit": 1}).json()["data"][0]["id"] == job["id"]
    assert [client.get("/v1/videos", params=wrong).status_code for wrong in ({"limit": 0}, {"limit": "x"}, {"order": "up"})] == [400] * 3
    assert client.get("/v1/videos", params={"after": "none"}).status_code == 404
    assert client.delete(f"/v1/videos/{job['id']}").json()["deleted"] is True
    assert client.delete(f"/v1/videos/{job['id']}").status_code == client.get(f"/v1/videos/{job['id']}").status_code == 404
    assert client.get("/v1/nothing").status_code == 404
    client.close()


def test_expired_failed_refused_slow(media):
    gone = media("media", "expires_s=0")
    reply = httpx.get(f"{gone.upstream}/v1/videos/{gone.videos()[0]}/content")
    assert reply.status_code == 404 and reply.json()["error"]["code"] == "video_expired"
    failing = media("media", "fail_rate=1", "queue_s=0", "render_s=0")
    job = httpx.post(failing.upstream + "/v1/videos", json={"prompt": "A boat"}).json()
    assert job["status"] == "failed" and job["error"]["code"] == "video_generation_failed"
    assert httpx.get(f"{failing.upstream}/v1/videos/{job['id']}/content").status_code == 404
    busy = media("media", "reject_rate=1")
    reply = httpx.get(busy.upstream + "/v1/videos")
    assert reply.status_code == 429 and reply.json()["error"]["code"] == "rate_limit_exceeded"
    assert (reply.headers["retry-after"], reply.headers["retry-after-ms"]) == ("1", "25")
    result = call(busy, "list_videos")
    assert result["isError"] and "Error code: 429" in result["content"][0]["text"] and busy.counted()["429"] == 4
    broken = media("media", "error_rate=1")
    assert [httpx.get(broken.upstream + "/v1/videos").status_code for _ in range(4)] == [500, 503, 500, 503]
    slow = media("media", "throttle_rate=1", "throttle_kib_s=256", "pace_mib_s=0")
    one, two = slow.videos()[:2]
    assert len(slow.reference(one)) == len(slow.reference(two)) == 65536
    truth = slow.truth()["upstream"]
    # 64 KiB at 256 KiB/s: a quarter of a second, by the service's own clock.
    assert truth["throttled"] == 2
    assert all(sent["elapsed_ns"] >= 250e6 for sent in truth["recent"] if sent["route"].endswith("/content"))


def test_transfers_that_end_early(media):
    one = media("media", "truncate_rate=1")
    url = f"{one.upstream}/v1/videos/{one.videos()[0]}/content"
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(url)
    short = httpx.get(url)
    assert short.status_code == 200 and int(short.headers["content-length"]) == len(short.content) == 32768
    assert short.headers["etag"] != f'"{sha256(short.content)}"'
    ends = [sent["end"] for sent in one.truth()["upstream"]["recent"] if sent["route"].endswith("/content")]
    assert ends == ["cut", "short"]
