"""The HTML report in a real browser: it shows what was found, loads nothing, runs nothing."""

import html
import re
import shutil
import subprocess

import pytest
from PIL import Image

# Shares the run of the standard demo with others that are.
pytestmark = pytest.mark.alone

BROWSER_S = 90
FAIL = (0xCF, 0x22, 0x2E)


def browser(folder, page, *flags) -> subprocess.CompletedProcess:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "chromium is missing; ./test installs it"
    return subprocess.run(
        [found, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
         "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}", *flags, page.as_uri()],
        check=True, capture_output=True, text=True, timeout=BROWSER_S,
    )


def shown(text) -> str:
    """Text of a page as a reader sees it, without mark-up."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())


@pytest.fixture(scope="module")
def page(standard_demo):
    _, report = standard_demo
    return report, report.folder / "report.html"


def test_every_finding_is_shown(page, tmp_path):
    report, file = page
    done = browser(tmp_path, file, "--dump-dom")
    text = shown(done.stdout)
    for finding in report.findings():
        assert " ".join(finding["title"].replace("`", "").split()) in text, finding["title"]
    # Styles are allowed, so a page that breaks its own policy would be told so.
    assert "Content Security Policy" not in done.stderr and "Refused to" not in done.stderr, done.stderr


def test_it_looks_like_a_failure(page, tmp_path):
    _, file = page
    browser(tmp_path, file, "--window-size=1200,1600", f"--screenshot={tmp_path / 'page.png'}")
    with Image.open(tmp_path / "page.png") as image:
        counts = {rgb: n for n, rgb in image.convert("RGB").getcolors(image.width * image.height)}
    assert counts.get(FAIL, 0) > 1_000, "no verdict in its colour"
    assert len(counts) > 50, "no text"


def test_what_a_target_says_stays_text(prony, hostile, tmp_path):
    target = hostile()
    out = tmp_path / "out"
    prony("check", target.url, "--quick", "--timeout", "2s", "--only", "coverage,identity", "-o", out, timeout=60)
    source = (out / "report.html").read_text()
    dom = browser(tmp_path, out / "report.html", "--dump-dom").stdout
    for text in (source, dom):
        assert not re.search(r"<(script|img|iframe|object|embed|form|link|base)\b", text)
        assert not re.search(r"<[^>]+\s(on\w+|src)\s*=", text)
        assert set(re.findall(r"<[^>]+\shref=\"([^\"]{0,1})", text)) == {"#"}
