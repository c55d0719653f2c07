"""A server that misbehaves on purpose, on raw sockets, because no framework would let it.

    python hostile.py --port 0               every misdeed on its own path (see MISDEEDS)
    python hostile.py --port 0 --all drip    the same misdeed on every path

It prints `ready http://127.0.0.1:PORT` and serves until it is ended. Loopback only.
"""

import argparse
import json
import socket
import threading
import time

INJECTION = (
    "\x1b[2J\x1b[31mred\x1b[0m \x1b]0;title\x07 <script>alert(1)</script> <img src=x onerror=alert(2)> "
    "| pipe | [link](javascript:alert(3)) `tick` **bold** \r\nX-Injected: yes \u202egnp.exe"
)


def head(status: str, *lines: str) -> bytes:
    return ("\r\n".join([f"HTTP/1.1 {status}", *lines]) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def whole(conn: socket.socket, status: str, body: bytes, content_type: str = "application/json", *lines: str) -> bool:
    conn.sendall(head(status, f"content-type: {content_type}", f"content-length: {len(body)}", *lines) + body)
    return True


def ok(conn, path):
    return whole(conn, "200 OK", b'{"fine": true}')


def redirect_self(conn, path):
    return whole(conn, "302 Found", b"", "text/plain", f"location: {path}")


def redirect_ring(conn, path):
    other = "/redirect-ring-b" if path != "/redirect-ring-b" else "/redirect-ring"
    return whole(conn, "307 Temporary Redirect", b"", "text/plain", f"location: {other}")


def endless_chunks(conn, path):
    conn.sendall(head("200 OK", "content-type: application/json", "transfer-encoding: chunked"))
    block = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    while True:
        conn.sendall(block)


def endless_close(conn, path):
    conn.sendall(head("200 OK", "content-type: application/json", "connection: close"))
    while True:
        conn.sendall(b"a" * 65536)


def huge_length(conn, path):
    conn.sendall(head("200 OK", "content-type: application/json", "content-length: 1000000000000000"))
    while True:
        conn.sendall(b"a" * 65536)


def short_body(conn, path):
    conn.sendall(head("200 OK", "content-type: application/json", "content-length: 1000") + b'{"cut": "he')
    return False


def long_body(conn, path):
    conn.sendall(head("200 OK", "content-type: application/json", "content-length: 2") + b"{}" + b"x" * 500)
    time.sleep(0.05)
    return False


def bad_utf8(conn, path):
    return whole(conn, "200 OK", b'{"name": "\xff\xfe\x80\xc3("}')


def giant_header(conn, path):
    conn.sendall(b"HTTP/1.1 200 OK\r\nx-giant: ")
    while True:
        conn.sendall(b"g" * 65536)


def many_headers(conn, path):
    conn.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        conn.sendall(b"x-one-more: y\r\n" * 4096)


def drip(conn, path):
    conn.sendall(head("200 OK", "content-type: application/json", "content-length: 1000000"))
    while True:
        conn.sendall(b" ")
        time.sleep(0.2)


def drip_head(conn, path):
    conn.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        conn.sendall(b"x")
        time.sleep(0.2)


def silent(conn, path):
    while conn.recv(4096):
        pass
    return False


def hang_up(conn, path):
    return False


def not_http(conn, path):
    conn.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n")
    return False


def bad_chunk(conn, path):
    conn.sendall(head("200 OK", "transfer-encoding: chunked") + b"zz\r\nhello\r\n")
    return False


def two_lengths(conn, path):
    conn.sendall(head("200 OK", "content-length: 2", "content-length: 7") + b"{}12345")
    return False


def injection(conn, path):
    body = json.dumps({"name": INJECTION, "items": [{"id": INJECTION}, {"id": "../../etc/passwd"}]}).encode()
    return whole(conn, "200 OK", body)


def control_header(conn, path):
    return whole(conn, "200 OK", b"{}", "application/json", "x-note: \x1b[31mred\x1b[0m")


def echo(conn, path):
    """Answers with the request as it came, head and all, as debugging routes do."""
    return whole(conn, "200 OK", json.dumps({"you_sent": conn.request.decode("latin-1")}).encode())


def openapi(conn, path):
    text = {"type": "string", "description": INJECTION}
    answer = {"200": {"description": INJECTION, "content": {"application/json": {"schema": {"type": "object"}}}}}
    document = {
        "openapi": "3.1.0",
        "info": {"title": INJECTION, "version": INJECTION, "description": INJECTION},
        "paths": {
            "/injection": {"get": {"summary": INJECTION, "operationId": INJECTION, "responses": answer}},
            "/a|b`c/<script>": {"get": {"summary": INJECTION, "responses": answer}},
            "/speak": {
                "post": {
                    "summary": INJECTION,
                    "requestBody": {
                        "content": {
                            "application/json": {
                                "schema": {"type": "object", "required": ["say"], "properties": {"say": text}}
                            }
                        }
                    },
                    "responses": answer,
                }
            },
        },
    }
    return whole(conn, "200 OK", json.dumps(document).encode())


MISDEEDS = {
    "ok": ok,
    "redirect-self": redirect_self,
    "redirect-ring": redirect_ring,
    "redirect-ring-b": redirect_ring,
    "endless-chunks": endless_chunks,
    "endless-close": endless_close,
    "huge-length": huge_length,
    "short-body": short_body,
    "long-body": long_body,
    "bad-utf8": bad_utf8,
    "giant-header": giant_header,
    "many-headers": many_headers,
    "drip": drip,
    "drip-head": drip_head,
    "silent": silent,
    "hang-up": hang_up,
    "not-http": not_http,
    "bad-chunk": bad_chunk,
    "two-lengths": two_lengths,
    "injection": injection,
    "speak": injection,
    "control-header": control_header,
    "echo": echo,
    "openapi.json": openapi,
}


class Connection:
    """A socket that remembers the last request."""

    def __init__(self, conn: socket.socket):
        self.sendall, self.recv = conn.sendall, conn.recv
        self.request = b""


def serve(conn: socket.socket, everywhere: str | None) -> None:
    """Reads requests off one connection and answers each with its misdeed until one of them ends it."""
    pending = b""
    with conn:
        client = Connection(conn)
        try:
            while True:
                while b"\r\n\r\n" not in pending:
                    more = conn.recv(65536)
                    if not more:
                        return
                    pending += more
                request, _, pending = pending.partition(b"\r\n\r\n")
                client.request = request
                length = next(
                    (int(line.split(b":")[1]) for line in request.split(b"\r\n") if line.lower().startswith(b"content-length:")),
                    0,
                )
                while len(pending) < length:
                    more = conn.recv(65536)
                    if not more:
                        return
                    pending += more
                pending = pending[length:]
                target = request.split(b" ", 2)[1].decode("latin-1")
                path = target.partition("?")[0]
                misdeed = MISDEEDS.get(everywhere or path.strip("/"))
                if misdeed is None:
                    whole(conn, "404 Not Found", b'{"detail": "Not Found"}')
                elif not misdeed(client, target):
                    return
        except (OSError, ValueError, IndexError):
            return  # the client went away, or did not speak HTTP


def main() -> None:
    parser = argparse.ArgumentParser(description="a server that misbehaves")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--all", choices=sorted(MISDEEDS), help="do this on every path")
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", options.port), backlog=256)
    print(f"ready http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    while True:
        conn, _ = listener.accept()
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(conn, options.all), daemon=True).start()


if __name__ == "__main__":
    main()
