"""A fitting room: takes the names of two pictures in a bucket, makes a third of them there, and says what that is called.

It was written without Prony in mind and knows nothing of it. It stands for an inference service whose files lie in an object store.

    python fitting.py STORE-URL BUCKET        the keys are those of the environment, as boto3 finds them
"""

import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

STORE, BUCKET = sys.argv[1:3]
# Clients are not made in several threads at once; made, they are shared.
s3 = boto3.client("s3", endpoint_url=STORE, region_name="us-east-1", config=Config(proxies={}, s3={"addressing_style": "path"}))
seats = threading.Semaphore(2)


class Fitting(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.answer(200 if self.path == "/ping" else 404, {})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/api/v1/tryon":
            return self.answer(404, {})
        if "authorization" in self.headers or "x-amz-date" in self.headers:
            return self.answer(400, {"detail": "who are you?"})
        with seats:
            try:
                pictures = [
                    s3.get_object(Bucket=BUCKET, Key=asked[field])["Body"].read() for field in ("person_image_path", "garment_image_path")
                ]
            except ClientError as error:
                return self.answer(404, {"detail": str(error)})
            worn = b"".join(pictures)
            key = f"results/{hashlib.sha256(asked['person_image_path'].encode()).hexdigest()[:16]}.bin"
            s3.put_object(Bucket=BUCKET, Key=key, Body=worn)
        self.answer(200, {"result_image_path": key, "bytes": len(worn)})


server = ThreadingHTTPServer(("127.0.0.1", 0), Fitting)
server.daemon_threads = True
print(f"ready http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
