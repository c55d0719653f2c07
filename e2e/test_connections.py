"""Connections: Unix sockets, TLS with and without client certificates, their number, their rate, their cost, and what
happens when this machine runs out of what they need."""

import collections
import json
import re
import resource
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from conftest import binary

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

# A server of its own process, so that its memory and its files are not those of the client.
SERVER = r"""
import selectors, socket, sys, resource
limit = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
listener = socket.create_server(("127.0.0.1", 0), backlog=int(sys.argv[1]))
listener.setblocking(False)
print(f"ready http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
loop = selectors.DefaultSelector()
loop.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in loop.select():
        if key.fileobj is listener:
            try:
                while True:
                    peer, _ = listener.accept()
                    peer.setblocking(False)
                    loop.register(peer, selectors.EVENT_READ)
            except BlockingIOError:
                continue
        peer = key.fileobj
        try:
            data = peer.recv(65536)
        except BlockingIOError:
            continue
        except OSError:
            data = b""
        if data:
            peer.send(ANSWER * data.count(b"\r\n\r\n"))
        else:
            loop.unregister(peer)
            peer.close()
"""


@pytest.fixture
def plain(server):
    """A server that answers everything, with a listen queue of so many: `plain(511)`."""
    return lambda backlog=4096: server(sys.executable, "-c", SERVER, backlog)


class Answering:
    """Answers every request on sockets of a listener, one thread each, and remembers the heads of each connection."""

    def __init__(self, listener):
        self.listener = listener
        self.heads = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            seen = []
            self.heads.append(seen)
            threading.Thread(target=self._answer, args=(peer, seen), daemon=True).start()

    def _answer(self, peer, seen):
        held = b""
        with peer:
            while data := peer.recv(65536):
                held += data
                while b"\r\n\r\n" in held:
                    head, held = held.split(b"\r\n\r\n", 1)
                    seen.append(head)
                    peer.sendall(ANSWER)
                    if b"connection: close" in head:
                        return


def load(prony, *args, **more):
    """The document of a load without failures."""
    return prony("load", *args, "--json", **more).ended(0).json()


def test_load_over_a_unix_socket(prony, tmp_path):
    path = tmp_path / "app.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(128)
    with listener:
        server = Answering(listener)
        found = load(prony, "http://app.test/x", "--unix-socket", path, "-c", 4, "-n", 400)
        assert found["requests"]["ok"] == 400
        assert found["address"] == f"unix:{path}" and found["dns_ms"] is None
        assert len(server.heads) == 4
        assert all(head.startswith(b"GET /x HTTP/1.1\r\nhost: app.test") for seen in server.heads for head in seen)

        suite = tmp_path / "suite.toml"
        suite.write_text(
            f"name = 'unix'\n[target]\nurl = 'http://app.test'\nunix_socket = '{path}'\n[[scenario]]\nname = 's'\n"
            "http.path = '/y'\n[[phase]]\nname = 'p'\nscenarios = ['s']\nshape.sequential = { requests = 5 }\n"
            "[[gate]]\nphase = 'p'\ncheck = 'ok_count == 5'\n"
        )
        prony("run", suite, "-o", tmp_path / "run").ended(0)
        assert sum(head.startswith(b"GET /y ") for seen in server.heads for head in seen) == 5


def test_what_is_wrong_with_a_unix_socket_is_said(prony, tmp_path):
    def says(path, code):
        done = prony("load", "http://localhost/", "--unix-socket", path, "-c", 1, "-n", 3)
        assert done.code == code, done
        return done.err

    assert "no such file" in says(tmp_path / "missing.sock", 69)
    plain = tmp_path / "plain.txt"
    plain.write_text("")
    assert "no socket" in says(plain, 69)
    deserted = tmp_path / "deserted.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(deserted))
    assert "nothing listens" in says(deserted, 69)


def test_an_unknown_host_and_another_address(prony, plain):
    done = prony("load", "http://no-such-host.invalid/", "-n", 1)
    assert done.code == 69 and "did not resolve" in done.err and "--connect-to" in done.err, done
    port = plain().port
    found = load(prony, "http://no-such-host.invalid/", "--connect-to", f"127.0.0.1:{port}", "-n", 10)
    assert found["requests"]["ok"] == 10 and found["dns_ms"] is None
    assert found["address"] == f"127.0.0.1:{port}"
    found = load(prony, f"http://localhost:{port}/", "-n", 10)
    assert found["dns_ms"] > 0
    text = prony("load", f"http://localhost:{port}/", "-n", 10).out
    assert re.search(r"^target +http://localhost:\d+/ at \S+:\d+, resolved in ", text, re.M), text


def test_connections_are_counted_and_the_phases_of_a_request_are_shown(prony, plain):
    url = plain().url
    found = load(prony, url, "-c", 1, "-n", 60, "--requests-per-connection", 10)
    assert found["transfer"]["connections"] == 6
    latency = found["latency"]
    assert latency["connect"]["n"] == 6 and latency["tls"]["n"] == 0
    assert latency["transfer"]["n"] == latency["ttfb"]["n"] == 60
    assert latency["connect"]["max_ms"] >= latency["connect"]["min_ms"] > 0
    assert load(prony, url, "-c", 2, "-n", 60, "--no-keepalive")["transfer"]["connections"] == 60
    text = prony("load", url, "-c", 2, "-n", 60, "--no-keepalive").out
    rows = [line.split("  ")[0] for line in text.splitlines()]
    assert {"response", "connect", "first byte", "transfer"} <= set(rows) and "TLS handshake" not in rows, text


def test_sources_take_turns_and_must_be_ours(prony, plain):
    url = plain().url
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        origins = collections.Counter()

        def accept():
            while True:
                try:
                    peer, (address, _) = listener.accept()
                except OSError:
                    return
                origins[address] += 1
                with peer:
                    peer.recv(65536)
                    peer.sendall(ANSWER)

        threading.Thread(target=accept, daemon=True).start()
        bind = ("--bind", "127.0.0.2", "--bind", "127.0.0.3")
        load(prony, f"http://127.0.0.1:{port}/", "-c", 1, "-n", 10, "--no-keepalive", *bind)
        assert origins == {"127.0.0.2": 5, "127.0.0.3": 5}
    done = prony("load", url, "-n", 1, "--bind", "192.0.2.1")
    assert done.code == 64 and "192.0.2.1" in done.err and "ip address" in done.err, done


TLS = Path(__file__).parent / "tls"


@pytest.fixture
def mutual():
    """The port of a TLS server called app.test that lets in only who has a certificate of the test authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(TLS / "authority.pem")
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)

    def answer(peer):
        try:
            with context.wrap_socket(peer, server_side=True) as stream:
                while stream.recv(65536):
                    stream.sendall(ANSWER)
        except OSError:
            peer.close()  # who is not let in, and who leaves without a word

    def accept():
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(peer,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with listener:
        yield listener.getsockname()[1]


def test_a_client_certificate_lets_in_and_each_mistake_is_said(prony, mutual, tmp_path):
    url = f"https://127.0.0.1:{mutual}/"
    trusted = ("--cacert", TLS / "authority.pem", "--server-name", "app.test")
    folder = tmp_path / "recorded"
    cert = ("--cert", TLS / "client.pem")
    found = load(prony, url, *trusted, *cert, "-c", 2, "-n", 40, "--requests-per-connection", 10, "-o", folder)
    assert found["requests"]["ok"] == 40
    latency = found["latency"]
    assert latency["tls"]["n"] == latency["connect"]["n"] >= 4
    assert 0 < latency["tls"]["min_ms"] <= latency["connect"]["max_ms"]
    key = (TLS / "client.pem").read_text().split("PRIVATE KEY-----")[1].strip().splitlines()[0]
    for file in folder.rglob("*"):
        assert file.is_dir() or key.encode() not in file.read_bytes(), file

    def says(*args):
        done = prony("load", url, "-c", 1, "-n", 2, *args)
        assert key not in done.text
        return done.code, done.err

    for args, code, words in [
        (trusted, 69, "wants a client certificate: give one with --cert FILE --key FILE"),
        (("--cacert", TLS / "authority.pem"), 69, "for another name"),
        (("--server-name", "app.test"), 69, "give its authority with --cacert FILE"),
        ((*trusted, "--cert", TLS / "authority.pem"), 64, "no private key in PEM"),
        ((*trusted, *cert, "--key", TLS / "server.pem"), 64, "not the key of the certificate"),
        ((*trusted, "--cert", TLS / "make.sh"), 64, "no PEM certificate"),
    ]:
        found, text = says(*args)
        assert found == code and words in text, f"{args}: {found} {text}"


def limited(files, *args):
    """The binary with so many open files allowed, and no way to allow itself more."""
    done = subprocess.run(
        [binary(), *map(str, args)],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, files),
    )
    assert "panicked" not in done.stderr, done.stderr
    return done


def test_too_few_files_are_said_before_the_load_and_a_soft_limit_is_raised(plain):
    url = plain().url
    done = limited((300, 300), "load", url, "-c", 1000, "-n", 5000)
    assert done.returncode == 64, done
    assert "1000 connections need 1064 open files" in done.stderr and "ulimit -n 1064" in done.stderr, done.stderr
    done = limited((300, 2000), "load", url, "-c", 1000, "-n", 5000, "--json")
    assert json.loads(done.stdout)["requests"]["ok"] == 5000, done


def test_running_out_of_files_is_ours_and_says_what_to_do():
    with socket.create_server(("127.0.0.1", 0), backlog=500) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        # Nobody accepts: every request holds its file until the end.
        done = limited((100, 100), "load", url, "--rate", 200, "-d", "2s", "--timeout", "3s", "--json")
    found = json.loads(done.stdout)
    ends = {o["outcome"]: o for o in found["outcomes"]}
    assert done.returncode == 4 and found["verdict"] == "invalid", done
    # Each arrival meets the limit once: nothing is tried in a circle, and every arrival is accounted for.
    assert ends["local-exhausted"]["n"] > 100
    assert sum(o["n"] for o in ends.values()) == found["requests"]["offered"] <= 600
    assert "all its 100 files open" in ends["local-exhausted"]["first_error"], ends
    assert "ulimit -n" in ends["local-exhausted"]["first_error"]


def test_a_flood_of_connections_on_a_short_queue_works(prony, plain):
    # 2,000 at once on a queue of 64: what finds no room is asked for again after a second by the kernel.
    found = load(prony, plain(64).url, "-c", 2000, "-n", 8000, "--timeout", "60s", "--connect-timeout", "50s", timeout=120)
    assert found["requests"]["ok"] == 8000


def test_a_ramp_of_connections_is_not_late(prony, plain):
    url = plain(64).url
    found = load(prony, url, "-c", 200, "-d", "2s", "--connect-rate", 400, timeout=60)
    assert found["transfer"]["connections"] == 200
    # The last of 200 users started 199/400 s after the first. Were that counted as waiting, the longest would show it.
    assert found["requests"]["failed"] == 0 and found["validity"]["late_share"] < 0.5


def resident(pid):
    return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1])


def test_an_idle_connection_costs_less_than_four_kilobytes(start, plain):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert hard == resource.RLIM_INFINITY or hard >= 9200, "this test needs `ulimit -Hn` of 9200"
    url = plain().url
    port = int(url.rsplit(":", 1)[1])

    def open_connections(pid):
        wanted = f":{port:04X}"
        rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
        return sum(row[2].endswith(wanted) and row[3] == "01" for row in rows)

    def grown(connections):
        # Each asks once, then thinks for an hour: idle connections.
        patient = ("--connect-timeout", "60s", "--timeout", "90s")
        running = start("load", url, "-c", connections, "-n", 2 * connections, "--think", 3_600_000, *patient)
        deadline = time.monotonic() + 100
        while open_connections(running.pid) < connections:
            assert running.child.poll() is None and time.monotonic() < deadline, "the connections do not come"
            time.sleep(0.2)
        time.sleep(1)
        memory = resident(running.pid)
        running.child.kill()
        running.child.wait()
        return memory

    few, many = grown(1000), grown(9000)
    assert (many - few) / 8000 < 4.0, f"{few} kB with 1,000 connections, {many} kB with 9,000"
