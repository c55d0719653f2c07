"""A shop with sessions and redirects: the standard library's server, a thread for each connection.

It was written without Prony in mind and knows nothing of it.

    python shop.py --port 8000 --cdn http://127.0.0.1:8001

GET  /health            is it up?
GET  /item/ID?user=U    one thing, as JSON
GET  /old/ID            where it stood before: 302
POST /order/ID          moved for good, method and all: 308 to /orders
POST /orders            takes an order
GET  /picture/ID        lives elsewhere: 307 to the --cdn, or to where `?at=` says
GET  /flaky/ID          503 at first, then good
POST /login             sets a session and leads on: 303 to /account
GET  /account           says hello, with the session in the page, as careless shops do; 401 without one
GET  /log               every request so far, as JSON
"""

import argparse
import json
import os
import secrets
import threading
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SESSIONS, LOG, FAILED, LOCK = {}, [], set(), threading.Lock()


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cdn = ""

    def say(self, status, body="", **headers):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-type", "text/plain" if isinstance(body, str) else "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_one(self):
        url = urlsplit(self.path)
        text = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        place, _, rest = url.path.strip("/").partition("/")
        if place == "log":
            return self.say(200, LOG)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        with LOCK:
            headers = {name.lower(): value for name, value in self.headers.items()}
            LOG.append({"method": self.command, "path": self.path, "headers": headers, "body": text})
        session = SimpleCookie(self.headers.get("cookie", "")).get("session")
        match self.command, place:
            case "GET", "health":
                self.say(200, "ok")
            case "GET", "item":
                self.say(200, {"id": rest, "user": query.get("user")})
            case "GET", "old":
                self.say(302, location=f"/item/{rest}")
            case "POST", "order":
                self.say(308, location="/orders")
            case "POST", "orders":
                self.say(200, {"ordered": json.loads(text)})
            case "GET", "picture":
                self.say(307, location=f"{query.get('at', self.cdn)}/item/{rest}")
            case "GET", "flaky":
                with LOCK:
                    first = rest not in FAILED
                    FAILED.add(rest)
                self.say(503 if first else 200, {"id": rest})
            case "POST", "login":
                token = secrets.token_hex(16)
                SESSIONS[token] = text
                self.say(303, location="/account", set_cookie=f"session={token}; Path=/; HttpOnly; SameSite=Lax")
            case "GET", "account" if session and session.value in SESSIONS:
                self.say(200, f"hello {SESSIONS[session.value]}, your session is {session.value}")
            case "GET", "account":
                self.say(401, "who are you?")
            case _:
                self.say(404)

    do_GET = do_POST = handle_one

    def log_message(self, *args):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cdn", default="")
    parser.add_argument("--pidfile", type=Path)
    args = parser.parse_args()
    Shop.cdn = args.cdn
    server = ThreadingHTTPServer(("127.0.0.1", args.port), Shop)
    server.daemon_threads = True
    if args.pidfile:
        args.pidfile.write_text(str(os.getpid()))
    print(f"ready http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
