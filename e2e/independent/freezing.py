"""A server that answers in a millisecond and stands still for a second every ten, and keeps the truth of both.

    python freezing.py

It prints `ready http://127.0.0.1:PORT admin http://127.0.0.1:PORT` and serves until it is ended. The freezes begin five
seconds after the first request. The admin port answers `GET /truth` with the freezes as they were (begin, end, and when all
that had come meanwhile was read) and, for each request, when it reached the machine (stamped by the kernel, also while the
server stood still) and when its answer was written; all in nanoseconds of the real-time clock. `POST /reset` forgets them.
Loopback only.
"""

import heapq
import json
import select
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

SERVICE_S, FIRST_S, EVERY_S, FREEZE_S = 0.001, 5.0, 10.0, 1.0
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SO_TIMESTAMPNS = 35  # socket(7); the control message bears the same number


class Freezing:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.listener.setblocking(False)
        self.epoll = select.epoll()
        self.epoll.register(self.listener, select.EPOLLIN)
        self.connections = {}
        self.due = []
        self.reset()

    def reset(self):
        self.freezes, self.requests, self.next_freeze, self.behind = [], [], None, False

    def truth(self):
        return {"freezes": list(self.freezes), "requests": list(self.requests)}

    def serve(self):
        while True:
            now = time.monotonic()
            waits = [at - now for at in ([self.due[0][0]] if self.due else []) + ([self.next_freeze] if self.next_freeze else [])]
            # epoll waits for whole milliseconds, select for microseconds.
            select.select([self.epoll.fileno()], [], [], max(0.0, min(waits, default=1.0)))
            events = self.epoll.poll(0)
            if self.behind and not events:
                self.freezes[-1][2], self.behind = time.time_ns(), False
            for fd, _ in events:
                if fd == self.listener.fileno():
                    self.accept()
                else:
                    self.hear(fd)
            self.answer()
            if self.next_freeze and time.monotonic() >= self.next_freeze:
                self.next_freeze += EVERY_S
                began = time.time_ns()
                time.sleep(FREEZE_S)
                ended = time.time_ns()
                self.freezes.append([began, ended, ended])
                self.behind = True

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            self.connections[connection.fileno()] = connection
            self.epoll.register(connection, select.EPOLLIN)

    def hear(self, fd):
        connection = self.connections[fd]
        try:
            data, control, _, _ = connection.recvmsg(65536, 64)
        except BlockingIOError:
            return
        except ConnectionError:
            data, control = b"", []
        if not data:
            self.epoll.unregister(fd)
            self.connections.pop(fd).close()
            return
        assert data.endswith(b"\r\n\r\n"), "a request in one piece, as the generator sends it"
        (stamp,) = [body for level, kind, body in control if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS)]
        seconds, nanos = struct.unpack("qq", stamp)
        now = time.monotonic()
        if self.next_freeze is None:
            self.next_freeze = now + FIRST_S
        heapq.heappush(self.due, (now + SERVICE_S, fd, seconds * 1_000_000_000 + nanos))

    def answer(self):
        while self.due and self.due[0][0] <= time.monotonic():
            _, fd, arrived = heapq.heappop(self.due)
            connection = self.connections.get(fd)
            if connection is not None:
                self.requests.append((arrived, time.time_ns()))
                connection.send(ANSWER)


class Admin(BaseHTTPRequestHandler):
    def do_GET(self):
        self.reply(freezing.truth())

    def do_POST(self):
        freezing.reset()
        self.reply({"reset": True})

    def reply(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


freezing = Freezing()
admin = HTTPServer(("127.0.0.1", 0), Admin)
threading.Thread(target=admin.serve_forever, daemon=True).start()
print(f"ready http://127.0.0.1:{freezing.listener.getsockname()[1]} admin http://127.0.0.1:{admin.server_port}", flush=True)
freezing.serve()
