"""A secret is used and never shown: not in output, reports, plans or recordings."""

from pathlib import Path

import pytest

SECRET = "s3cr3t-tok3n-9f41c7"


def leaks(*texts_and_folders) -> list:
    found = []
    for thing in texts_and_folders:
        if isinstance(thing, Path):
            found += [str(p) for p in thing.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]
        elif SECRET in thing.text:
            found.append(str(thing))
    return found


@pytest.fixture
def token_file(tmp_path) -> Path:
    path = tmp_path / "token"
    path.write_text(SECRET + "\n")
    return path


WAYS = ["--bearer-env", "--api-key-env", "--bearer-file", "--api-key-file", "--header-env"]


def flags(way, token_file):
    if way.endswith("-file"):
        return [way, token_file], {}
    return [way, "X-Auth-Token=MY_TOKEN" if way == "--header-env" else "MY_TOKEN"], {"MY_TOKEN": SECRET}


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_is_sent_and_not_shown(prony, hostile, tmp_path, token_file, way):
    """The target echoes every header it gets, so the secret comes back in the answers too."""
    more, env = flags(way, token_file)
    target = hostile("echo")
    load = prony("load", f"{target.url}/x", "-n", 5, "-c", 1, "-o", tmp_path / "load", "--json", *more, env=env)
    load.ended(0)
    # The echo proves that it was sent: the answers are longer by at least the secret than without it.
    bare = prony("load", f"{target.url}/x", "-n", 5, "-c", 1, "-o", tmp_path / "bare", "--json")
    assert load.json()["transfer"]["bytes_in"] >= bare.json()["transfer"]["bytes_in"] + 5 * len(SECRET)
    rendered = [prony("report", tmp_path / "load", "--format", f) for f in ("terminal", "markdown", "json")]
    assert not leaks(load, *rendered, tmp_path / "load")


def test_a_secret_is_not_shown_by_a_check(prony, hostile, tmp_path, token_file):
    more, env = flags("--header-env", token_file)
    out = tmp_path / "out"
    done = prony(
        "check", hostile("echo").url, "--quick", "--timeout", "2s", "-d", "20s", "-o", out, *more, env=env, timeout=90
    )
    assert out.exists() and not leaks(done, out)


def test_a_plan_names_the_variable(prony, archive, tmp_path):
    target = archive("")
    done = prony("check", target.url, "--plan", "--bearer-env", "MY_TOKEN", env={"MY_TOKEN": SECRET})
    assert done.code == 0 and "MY_TOKEN" in done.out and not leaks(done), done


def test_a_secret_in_a_header_flag_or_url_is_not_recorded(prony, hostile, tmp_path):
    target = hostile("ok")
    for number, (url, more) in enumerate(
        [
            (target.url, ["-H", f"Authorization: Bearer {SECRET}"]),
            (target.url, ["-H", f"Cookie: session={SECRET}"]),
            (target.url.replace("//", f"//me:{SECRET}@"), []),
        ]
    ):
        out = tmp_path / str(number)
        done = prony("load", f"{url}/ok", "-n", 3, "-c", 1, "-o", out, *more)
        assert not leaks(done, *([out] if out.exists() else [])), more
