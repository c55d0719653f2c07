"""An HTTP/2 service by someone else's hand: Hypercorn, over TLS (ALPN) or on a plain connection (prior knowledge).

    python multiplexed.py --port 0                        plain
    python multiplexed.py --port 0 --pem server.pem       TLS; the file holds the certificate and its key

`GET /session` hands out a token, `GET /score?token=...` answers only who brings it, `GET /seen` counts what came by token,
version of HTTP and connection.
"""

import argparse
import asyncio
import itertools
import json
import socket
from collections import Counter
from urllib.parse import parse_qs

from hypercorn.asyncio import serve
from hypercorn.config import Config

tokens = (f"token-{n}" for n in itertools.count())
seen = {"tokens": Counter(), "versions": Counter(), "connections": Counter()}


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    status, answer = 200, {}
    seen["versions"][scope["http_version"]] += 1
    seen["connections"][":".join(map(str, scope["client"]))] += 1
    match scope["path"]:
        case "/session":
            answer = {"token": next(tokens)}
        case "/score":
            token = parse_qs(scope["query_string"].decode()).get("token", [""])[0]
            seen["tokens"][token] += 1
            await asyncio.sleep(0.005)
            answer = {"score": 1.0}
            if not token.startswith("token-"):
                status, answer = 403, {"error": "no token"}
        case "/seen":
            answer = seen
        case _:
            status = 404
    body = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--pem")
    args = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", args.port), backlog=1024)
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.certfile = config.keyfile = args.pem
    config.loglevel = "ERROR"
    scheme = "https" if args.pem else "http"
    print(f"ready {scheme}://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    asyncio.run(serve(app, config))


if __name__ == "__main__":
    main()
