"""A stranger's program on the reference backend: OpenSeadragon in a real browser shows a slide of the fixed pathology server."""

import functools
import http.server
import shutil
import subprocess
import threading
from pathlib import Path

import httpx
import pytest
from PIL import Image

from conftest import ROOT

VIEWER = Path(ROOT / ".venv" / "openseadragon" / "openseadragon.min.js")
# The preset's front ends, to which its CORS headers are addressed.
ORIGIN_PORTS = (3000, 7860)
SIZE = (800, 600)
# Virtual time stands still while the browser waits for the network, so it is no bound on the real one.
VIRTUAL_MS, BROWSER_S = 15_000, 90
PICTURES = 5
PAGE = """<!doctype html>
<html><head><title>loading</title><style>html,body,#slide{{margin:0;width:100%;height:100%;background:#0000ff}}</style></head>
<body><div id="slide"></div><script src="openseadragon.min.js"></script><script>
OpenSeadragon({{
  id: "slide", showNavigationControl: false, immediateRender: true, animationTime: 0, crossOriginPolicy: "Anonymous",
  drawer: "canvas", tileSources: "{dzi}",
}});
</script></body></html>
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def front_end(tmp_path):
    """The folder of a web server at one of the front ends' addresses, and its URL."""
    folder = tmp_path / "site"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    for port in ORIGIN_PORTS:
        try:
            site = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
            break
        except OSError:
            continue
    else:
        raise AssertionError(f"the ports {ORIGIN_PORTS} are taken")
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    yield folder, f"http://localhost:{port}"
    site.shutdown()
    thread.join()
    site.server_close()


def picture(url, folder):
    """What a browser shows of a page."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    assert browser, "chromium is missing; ./test installs it"
    file = folder / "picture.png"
    subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
         f"--user-data-dir={folder / 'profile'}", f"--window-size={SIZE[0]},{SIZE[1]}", f"--virtual-time-budget={VIRTUAL_MS}",
         f"--screenshot={file}", url],
        check=True, capture_output=True, timeout=BROWSER_S,
    )
    with Image.open(file) as image:
        return image.convert("RGB")


def shares(image) -> dict:
    """Which share of the pixels is background of the page, stained tissue, or bare glass."""
    count = {"page": 0, "tissue": 0, "glass": 0}
    for n, (r, g, b) in image.getcolors(image.width * image.height):
        if (r, g, b) == (0, 0, 255):
            count["page"] += n
        elif r > g + 25 and b > g + 10:  # haematoxylin and eosin: blue to pink, green absorbed
            count["tissue"] += n
        elif min(r, g, b) > 215:
            count["glass"] += n
    return {name: n / (image.width * image.height) for name, n in count.items()}


def test_openseadragon_shows_a_slide(backend, front_end, tmp_path):
    server = backend("enso-fixed", "slide_px=2048", "storage_ms=0")
    slides = httpx.get(f"{server.url}/api/slides", trust_env=False).json()
    folder, origin = front_end
    assert VIEWER.is_file(), f"{VIEWER} is missing; ./test installs it"
    shutil.copy(VIEWER, folder)
    (folder / "index.html").write_text(PAGE.format(dzi=f"{server.url}/api/slides/{slides[0]['slide_id']}/dzi"))
    (folder / "empty.html").write_text(PAGE.format(dzi=f"{server.url}/api/slides/no-such-slide/dzi"))

    # Virtual time waits for the network, not for the decoding of pictures: on a busy machine it can run out before the first tile is drawn.
    for attempt in range(PICTURES):
        httpx.post(f"{server.admin}/truth/reset", trust_env=False)
        shown = shares(picture(f"{origin}/index.html", tmp_path / f"shown-{attempt}"))
        endpoints = httpx.get(f"{server.admin}/truth", trust_env=False).json()["endpoints"]
        if shown["tissue"] > 0.10:
            break
    assert shown["tissue"] > 0.10 and shown["glass"] > 0.05, shown

    tiles = endpoints["GET /api/slides/{slide_id}/dzi_files/{level}/{tile_spec}"]
    assert endpoints["GET /api/slides/{slide_id}/dzi"]["statuses"] == {"200": 1}
    # Every tile that the viewer works out from the descriptor exists: its arithmetic is the server's.
    assert set(tiles["statuses"]) == {"200"} and tiles["count"] >= 9, tiles
    asked = httpx.get(f"{server.admin}/truth/requests?recent=1000", trust_env=False).json()["requests"]
    levels = {request["path"].split("/")[-2] for request in asked if "dzi_files" in request["path"]}
    assert len(levels) >= 2, levels

    # The same page with nothing to show has no tissue in it.
    assert shares(picture(f"{origin}/empty.html", tmp_path / "empty"))["tissue"] < 0.001
