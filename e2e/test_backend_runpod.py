"""The presets `runpod` and `runpod-fixed` as strangers see them: boto3 at the object store, httpx at the balancer, and the signatures of
the published measurements, taken by a driver that has none of Prony's code. Times are scaled; what is asserted are counts, states
and ratios."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import signal
import struct
import subprocess
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import httpx
import jsonschema
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from conftest import Server, binary

pytestmark = pytest.mark.alone

BUCKET, ACCESS, SECRET = "volume", "user_prony", "rps_prony"
# Platform times over their nominal length: two minutes are four seconds, an inference 0.32 s.
SCALE = "0.0333333"
# Where only the answers matter.
FAST = "0.01"


def png(shade) -> bytes:
    """A picture of one colour, 48 x 64."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes([shade] * 3) * 48) * 64
    head = struct.pack(">IIBBBBB", 48, 64, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def client(server, secret=SECRET, access=ACCESS):
    return boto3.client(
        "s3",
        endpoint_url=server.beside["store"],
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        region_name="eu-ro-1",
        config=Config(retries={"total_max_attempts": 1}, proxies={}, s3={"addressing_style": "path"}),
    )


@pytest.fixture(scope="module")
def shared():
    """One platform without workers for the tests that only look at its store."""
    server = Server([binary(), "serve", "runpod-fixed", "--port", 0, "--admin-port", 0, "--set", "workers_min=0", "--set", "weights_mb=1"], {})
    yield server
    server.end()


@pytest.fixture(scope="module")
def store(shared):
    return client(shared)


def refusal(call, **given):
    with pytest.raises(ClientError) as refused:
        call(Bucket=given.pop("Bucket", BUCKET), **given)
    told = refused.value.response
    return told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"]


# The object store.


def test_objects_come_back_as_they_were_put(store):
    body = os.urandom(100_000)
    put = store.put_object(Bucket=BUCKET, Key="in/ä b+c&d.bin", Body=body, ContentType="x/y", Metadata={"who": "me"}, CacheControl="no-store")
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    got = store.get_object(Bucket=BUCKET, Key="in/ä b+c&d.bin")
    assert got["Body"].read() == body
    assert (got["ContentType"], got["Metadata"], got["CacheControl"], got["ETag"]) == ("x/y", {"who": "me"}, "no-store", put["ETag"])
    head = store.head_object(Bucket=BUCKET, Key="in/ä b+c&d.bin")
    assert (head["ContentLength"], head["AcceptRanges"]) == (100_000, "bytes")
    store.put_object(Bucket=BUCKET, Key="in/ä b+c&d.bin", Body=b"")
    assert store.get_object(Bucket=BUCKET, Key="in/ä b+c&d.bin")["Body"].read() == b""
    store.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "in/ä b+c&d.bin"})
    assert store.head_object(Bucket=BUCKET, Key="copy")["ContentLength"] == 0
    assert [b["Name"] for b in store.list_buckets()["Buckets"]] == [BUCKET]
    assert store.head_bucket(Bucket=BUCKET)["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_ranges_and_conditions(store):
    etag = store.put_object(Bucket=BUCKET, Key="k", Body=b"0123456789")["ETag"]

    def part(**given):
        got = store.get_object(Bucket=BUCKET, Key="k", **given)
        return got["ResponseMetadata"]["HTTPStatusCode"], got["Body"].read(), got.get("ContentRange")

    assert part(Range="bytes=2-4") == (206, b"234", "bytes 2-4/10")
    assert part(Range="bytes=-3") == (206, b"789", "bytes 7-9/10")
    assert part(Range="bytes=8-99") == (206, b"89", "bytes 8-9/10")
    assert part(Range="bytes=3-1") == (200, b"0123456789", None)
    assert refusal(store.get_object, Key="k", Range="bytes=10-") == ("InvalidRange", 416)
    assert refusal(store.get_object, Key="k", IfNoneMatch=etag) == ("304", 304)
    assert part(IfNoneMatch='"other"')[0] == 200
    assert refusal(store.get_object, Key="k", IfMatch='"other"') == ("PreconditionFailed", 412)
    assert part(IfMatch=etag)[0] == 200
    assert refusal(store.put_object, Key="k", Body=b"x", IfNoneMatch="*") == ("PreconditionFailed", 412)
    # boto3 has no parameter for If-Range, a presigned address takes it as any header.
    url = store.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "k"})
    for held, wanted in ((etag, 206), ('"other"', 200)):
        assert httpx.get(url, headers={"range": "bytes=0-1", "if-range": held}, trust_env=False).status_code == wanted


def test_what_is_not_there(store):
    assert refusal(store.get_object, Key="nope") == ("NoSuchKey", 404)
    assert refusal(store.head_object, Key="nope") == ("404", 404)
    assert refusal(store.get_object, Bucket="other", Key="k") == ("NoSuchBucket", 404)
    assert refusal(store.put_object, Bucket="other", Key="k", Body=b"") == ("NoSuchBucket", 404)
    assert refusal(store.abort_multipart_upload, Key="k", UploadId="nope") == ("NoSuchUpload", 404)
    assert refusal(store.get_object_acl, Key="k")[1] == 501
    assert refusal(store.put_object, Key="../k", Body=b"x") == ("InvalidArgument", 400)
    assert store.delete_object(Bucket=BUCKET, Key="nope")["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_listings_in_pages(store):
    keys = [f"l/a/{n:02}" for n in range(7)] + ["l/b/x y", "l/b/é+&", "l/c"]
    for key in keys:
        store.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    for method in ("list_objects_v2", "list_objects"):
        pages = list(store.get_paginator(method).paginate(Bucket=BUCKET, Prefix="l/", PaginationConfig={"PageSize": 3}))
        assert [len(page["Contents"]) for page in pages] == [3, 3, 3, 1]
        assert [entry["Key"] for page in pages for entry in page["Contents"]] == keys
    shallow = store.list_objects_v2(Bucket=BUCKET, Prefix="l/", Delimiter="/")
    assert [p["Prefix"] for p in shallow["CommonPrefixes"]] == ["l/a/", "l/b/"]
    assert [(e["Key"], e["Size"]) for e in shallow["Contents"]] == [("l/c", 3)]
    assert [e["Key"] for e in store.list_objects_v2(Bucket=BUCKET, Prefix="l/b/", StartAfter="l/b/x y")["Contents"]] == ["l/b/é+&"]
    gone = store.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
    assert len(gone["Deleted"]) == len(keys)
    assert store.list_objects_v2(Bucket=BUCKET, Prefix="l/")["KeyCount"] == 0


def test_multipart(store):
    first, last = os.urandom(5 * 1024 * 1024), os.urandom(1000)
    begin = lambda: store.create_multipart_upload(Bucket=BUCKET, Key="big", ContentType="x/y")["UploadId"]
    upload = begin()
    part = lambda upload, number, body: {
        "PartNumber": number,
        "ETag": store.upload_part(Bucket=BUCKET, Key="big", UploadId=upload, PartNumber=number, Body=body)["ETag"],
    }
    parts = [part(upload, 1, first), part(upload, 2, last)]
    listed = store.list_parts(Bucket=BUCKET, Key="big", UploadId=upload)["Parts"]
    assert [(p["PartNumber"], p["Size"]) for p in listed] == [(1, len(first)), (2, 1000)]
    finish = lambda parts, upload: {"Key": "big", "UploadId": upload, "MultipartUpload": {"Parts": parts}}
    complete = store.complete_multipart_upload
    assert refusal(complete, **finish(parts[::-1], upload)) == ("InvalidPartOrder", 400)
    assert refusal(complete, **finish([parts[0], {"PartNumber": 2, "ETag": '"x"'}], upload)) == ("InvalidPart", 400)
    done = complete(Bucket=BUCKET, **finish(parts, upload))
    md5s = hashlib.md5(first).digest() + hashlib.md5(last).digest()
    assert done["ETag"] == f'"{hashlib.md5(md5s).hexdigest()}-2"'
    got = store.get_object(Bucket=BUCKET, Key="big")
    assert (got["Body"].read(), got["ContentType"]) == (first + last, "x/y")
    small = begin()
    both = [part(small, 1, b"a"), part(small, 2, b"b")]
    assert refusal(complete, **finish(both, small)) == ("EntityTooSmall", 400)
    store.abort_multipart_upload(Bucket=BUCKET, Key="big", UploadId=small)
    assert refusal(complete, **finish(both, small)) == ("NoSuchUpload", 404)


def test_the_transfer_manager(store, tmp_path):
    """As the measured system's harness uses it: threads, parts, checksums."""
    source = tmp_path / "source"
    source.write_bytes(os.urandom(11 * 1024 * 1024))
    parts = TransferConfig(multipart_threshold=1, multipart_chunksize=5 * 1024 * 1024, max_concurrency=4)
    store.upload_file(str(source), BUCKET, "in/file", Config=parts)
    store.download_file(BUCKET, "in/file", str(tmp_path / "copy"), Config=parts)
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert store.head_object(Bucket=BUCKET, Key="in/file")["ETag"].endswith('-3"')


def test_presigned_addresses(shared, store):
    presign = lambda what, **more: store.generate_presigned_url(what, Params={"Bucket": BUCKET, "Key": "a b"}, **more)
    ask = lambda method, url, **more: httpx.request(method, url, trust_env=False, **more)
    assert ask("PUT", presign("put_object"), content=b"body").status_code == 200
    got = ask("GET", presign("get_object"))
    assert (got.status_code, got.content) == (200, b"body")
    url = presign("get_object")
    for bad in (url.replace("a%20b", "a%20c"), url.replace("X-Amz-Expires=3600", "X-Amz-Expires=3601"), url[:-1] + "xy"[url[-1] == "x"]):
        told = ask("GET", bad)
        assert (told.status_code, "<Code>SignatureDoesNotMatch</Code>" in told.text) == (403, True), bad
    assert ask("PUT", url, content=b"x").status_code == 403
    assert ask("GET", f"{shared.beside['store']}/{BUCKET}/a%20b").status_code == 403


def test_wrong_keys(shared):
    assert refusal(client(shared, secret="wrong").list_objects_v2) == ("SignatureDoesNotMatch", 403)
    assert refusal(client(shared, access="nobody").list_objects_v2) == ("InvalidAccessKeyId", 403)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums(store, algorithm):
    put = store.put_object(Bucket=BUCKET, Key="k", Body=b"123456789", ChecksumAlgorithm=algorithm)
    head = store.head_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    wrong = base64.b64encode(b"\0" * len(base64.b64decode(put[f"Checksum{algorithm}"]))).decode()
    assert refusal(store.put_object, Key="k", Body=b"123456789", **{f"Checksum{algorithm}": wrong}) == ("BadDigest", 400)


class Streaming(S3SigV4Auth):
    """Signs a body that is sent in chunks, as SDKs do."""

    KIND = ""

    def payload(self, request):
        return self.KIND

    def chunk_key(self):
        key = b"AWS4" + SECRET.encode()
        for word in (*self.credential_scope_of.split("/"),):
            key = hmac.new(key, word.encode(), hashlib.sha256).digest()
        return key

    def signature(self, string_to_sign, request):
        self.last = super().signature(string_to_sign, request)
        self.timestamp = request.context["timestamp"]
        self.credential_scope_of = self.credential_scope(request)
        return self.last


def stream(server, kind, chunks, trailer=None, spoil=False):
    """PUTs a body in chunks; signs each where `kind` says so."""
    signer = type("Kind", (Streaming,), {"KIND": kind})(Credentials(ACCESS, SECRET), "s3", "eu-ro-1")
    headers = {"x-amz-decoded-content-length": str(sum(map(len, chunks))), "content-encoding": "aws-chunked"}
    if trailer:
        headers["x-amz-trailer"] = trailer[0]
    request = AWSRequest("PUT", f"{server.beside['store']}/{BUCKET}/stream", headers, data=b"")
    request.context["payload_signing_enabled"] = True
    signer.add_auth(request)
    key = signer.chunk_key()
    empty = hashlib.sha256(b"").hexdigest()

    def sign(head, *parts):
        text = "\n".join([head, signer.timestamp, signer.credential_scope_of, signer.last, *parts])
        signer.last = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        return signer.last

    body = b""
    for data in (*chunks, b""):
        body += f"{len(data):x}".encode()
        if "AWS4" in kind:
            body += b";chunk-signature=" + sign("AWS4-HMAC-SHA256-PAYLOAD", empty, hashlib.sha256(data).hexdigest()).encode()
        body += b"\r\n" + (data + b"\r\n" if data else b"")
    if trailer:
        line = f"{trailer[0]}:{trailer[1]}"
        body += line.encode() + b"\r\n"
        if "AWS4" in kind:
            digest = hashlib.sha256(line.encode() + b"\n").hexdigest()
            body += b"x-amz-trailer-signature:" + sign("AWS4-HMAC-SHA256-TRAILER", digest).encode() + b"\r\n"
    body += b"\r\n"
    if spoil:
        body = body.replace(b"middle", b"muddle")
    prepared = request.prepare()
    sent = {name: value for name, value in prepared.headers.items() if name.lower() != "content-length"}
    told = httpx.put(prepared.url, headers=sent, content=body, trust_env=False)
    return told.status_code, (told.text.split("<Code>")[1].split("<")[0] if "<Code>" in told.text else "")


def test_bodies_in_chunks(shared, store):
    chunks = [b"first" * 20_000, b"middle", b"last"]
    crc = base64.b64encode(struct.pack(">I", zlib.crc32(b"".join(chunks)))).decode()
    trailer, wrong = ("x-amz-checksum-crc32", crc), ("x-amz-checksum-crc32", "AAAAAA==")
    unsigned, signed = "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    assert stream(shared, unsigned, chunks, trailer) == (200, "")
    assert store.get_object(Bucket=BUCKET, Key="stream")["Body"].read() == b"".join(chunks)
    assert stream(shared, unsigned, chunks, wrong) == (400, "BadDigest")
    assert stream(shared, unsigned, chunks, trailer, spoil=True) == (400, "BadDigest")
    assert stream(shared, signed, chunks) == (200, "")
    assert stream(shared, signed, chunks, spoil=True) == (403, "SignatureDoesNotMatch")
    assert stream(shared, signed + "-TRAILER", chunks, trailer) == (200, "")
    assert stream(shared, signed + "-TRAILER", chunks, wrong) == (400, "BadDigest")


def test_the_store_is_bounded_and_sheds(backend):
    server = backend("runpod-fixed", "workers_min=0", "store_mb=1", "store_connections=1", "store_waiting=1", "store_latency_s=10", time_scale=FAST)
    store = client(server)

    def put(n):
        try:
            store.put_object(Bucket=BUCKET, Key=f"k{n}", Body=b"x")
            return 200
        except ClientError as refused:
            return refused.response["Error"]["Code"]

    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(put, range(6)))
    assert set(told) == {200, "SlowDown"}
    assert refusal(store.put_object, Key="big", Body=bytes(2**20)) == ("InsufficientStorage", 507)
    assert truth(server)["store"]["at_once_max"] == 1


# The balancer, the worker and the queue API.

ORDER = {"person_image_path": "in/person.png", "garment_image_path": "in/garment.png"}


def truth(server):
    return httpx.get(f"{server.admin}/truth", trust_env=False).json()


@pytest.fixture
def platform(backend):
    """A platform whose volume holds the two pictures, and a way to ask it."""

    def platform(preset, *knobs, time_scale=None):
        # A busy machine must not look like a slow worker where times are this short.
        patient = () if time_scale else ("wait_max_s=6000", "processing_max_s=6000", "job_timeout_s=6000")
        server = backend(preset, "weights_mb=1", *patient, *knobs, time_scale=time_scale or FAST)
        store = client(server)
        store.put_object(Bucket=BUCKET, Key="in/person.png", Body=png(40))
        store.put_object(Bucket=BUCKET, Key="in/garment.png", Body=png(200))
        server.store = store

        def ask(method, path, **more):
            return httpx.request(method, server.url + path, timeout=60, trust_env=False, **more)

        server.ask = ask
        server.tryon = lambda body=ORDER, **more: ask("POST", "/api/v1/tryon", json=body, **more)
        return server

    return platform


def outcome(reply):
    body = reply.json()
    return reply.status_code, body.get("error") or body.get("detail") or sorted(body)


def test_a_picture_is_made_and_lies_in_the_store(platform):
    server = platform("runpod-fixed")
    told = server.tryon(ORDER | {"seed": 7, "cloth_type": "lower"}, headers={"x-request-id": "mine-1"})
    assert (told.status_code, told.headers["x-request-id"]) == (200, "mine-1")
    assert told.headers["x-worker-id"].startswith("worker-") and "service;dur=" in told.headers["server-timing"]
    assert "x-inside-us" not in told.headers
    name = told.json()["result_image_path"]
    picture = lambda name: server.store.get_object(Bucket=BUCKET, Key=name)["Body"].read()
    assert name.startswith("results/result_") and picture(name)[:4] == b"\x89PNG"
    again = server.tryon(ORDER | {"seed": 7, "cloth_type": "lower"}).json()["result_image_path"]
    other = server.tryon(ORDER | {"seed": 8, "cloth_type": "lower"}).json()["result_image_path"]
    assert again != name and picture(again) == picture(name) != picture(other)
    (entry,) = [r for r in truth(server)["requests"]["requests"] if r["id"] == "mine-1"]
    assert entry["queued_ms"] <= entry["started_ms"] < entry["finished_ms"]
    assert entry["service_ms"] >= 9600 * float(FAST) * 0.8


@pytest.mark.parametrize("preset", ["runpod", "runpod-fixed"])
def test_the_worker_answers_as_documented(platform, preset):
    server = platform(preset, "workers_min=1")
    observed = preset == "runpod"
    missing = "Input image not found on network volume."
    assert outcome(server.tryon(ORDER | {"garment_image_path": "in/nope.png"})) == (
        (500, f"An internal error occurred: 404: {missing}") if observed else (404, missing)
    )
    unknown = server.tryon(ORDER | {"mask_type": "lower"})
    assert unknown.status_code == (200 if observed else 422)
    for body, kind in [
        ({}, "missing"),
        (ORDER | {"cloth_type": "hat"}, "literal_error"),
        (ORDER | {"seed": "x"}, "int_parsing" if observed else "int_type"),
        (ORDER | {"person_image_path": 3}, "string_type"),
    ]:
        told = server.tryon(body)
        assert (told.status_code, told.json()["detail"][0]["type"]) == (422, kind), body
    assert server.ask("POST", "/api/v1/tryon", content=b"{", headers={"content-type": "application/json"}).status_code == 422
    assert (server.ask("GET", "/api/v1/tryon").status_code, server.ask("GET", "/nope").status_code) == (405, 404)
    assert server.ask("DELETE", "/openapi.json").status_code == 405
    document = server.ask("GET", "/openapi.json").json()
    schema = document["components"]["schemas"]["TryOnRequest"]
    jsonschema.validate(ORDER, schema)
    for example in schema["examples"]:
        jsonschema.validate(example, schema)
        assert server.tryon(example).status_code == 200
    declared = document["paths"]["/api/v1/tryon"]["post"]["responses"]
    assert ("500" if observed else "404") in declared and {"200", "422", "502", "524"} <= set(declared)
    assert "/api/v1/tryon" in server.ask("GET", "/docs").text
    # Nothing on the service port tells what is planted.
    assert not any(word in str(document).lower() for word in ("planted", "defect", "prony"))


def test_limits_keys_and_the_wrong_port(platform):
    server = platform("runpod-fixed", "payload_mb=0.001", "api_key=sesame", "worker_header=false")
    key = {"authorization": "Bearer sesame"}
    assert outcome(server.tryon()) == (401, "unauthorized")
    assert server.tryon(headers={"authorization": "Bearer wrong"}).headers["www-authenticate"] == "Bearer"
    assert server.tryon(ORDER | {"person_image_path": "x" * 2000}, headers=key).status_code == 413
    assert server.ask("GET", "/openapi.json").status_code == 200
    ping = server.ask("GET", "/ping", headers=key)
    assert ping.status_code in (200, 204) and "x-worker-id" not in ping.headers
    tiny = platform("runpod-fixed", "payload_mb=0.00001")
    assert outcome(tiny.ask("GET", "/nope")) == (502, "the answer is larger than the payload limit")
    lost = platform("runpod", "wrong_port=true", "wrong_port_s=50", "wait_max_s=100000")
    assert outcome(lost.tryon()) == (502, "no worker answers at its port")
    slow = platform("runpod-fixed", "processing_max_s=5")
    assert outcome(slow.tryon()) == (524, "the worker took too long")
    queue_only = platform("runpod-fixed", "endpoint=queue")
    assert outcome(queue_only.tryon()) == (400, "not allowed for QB API")


def wait_for(what, timeout=30):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come")


def test_jobs(platform):
    server = platform("runpod-fixed", "workers_max=1", time_scale="0.02")
    job = lambda method, what, **more: server.ask(method, f"/v2/tryon/{what}", **more)
    ran = job("POST", "runsync", json={"input": ORDER}).json()
    assert (ran["status"], ran["output"]["result_image_path"][:8]) == ("COMPLETED", "results/")
    assert ran["executionTime"] >= 9600 * 0.02 * 0.8 and ran["delayTime"] >= 0 and ran["id"].startswith("sync-")
    jobs = [job("POST", "run", json={"input": ORDER}).json() for _ in range(3)]
    assert {j["status"] for j in jobs} <= {"IN_QUEUE", "IN_PROGRESS"}
    assert job("POST", f"cancel/{jobs[2]['id']}").json()["status"] == "CANCELLED"
    status = lambda j: job("GET", f"status/{j['id']}").json()
    done = [wait_for(lambda j=j: (s := status(j))["status"] == "COMPLETED" and s) for j in jobs[:2]]
    assert done[1]["delayTime"] >= done[0]["executionTime"] * 0.5
    assert status(jobs[2])["status"] == "CANCELLED"
    failed = job("POST", "runsync", json={"input": ORDER | {"seed": "x"}}).json()
    assert failed["status"] == "FAILED" and failed["error"].startswith("422")
    assert job("GET", "health").json()["jobs"] | {"retried": 0} == {"completed": 3, "failed": 1, "inProgress": 0, "inQueue": 0, "retried": 0}
    for body in ({}, {"input": 3}, {"input": {}, "more": 1}, {"input": {}, "policy": {"ttl": 1}}, []):
        assert job("POST", "run", json=body).status_code == 400, body
    assert job("POST", "runsync?wait=5", json={"input": ORDER}).status_code == 400
    assert (job("GET", "status/nope").status_code, job("GET", "run").status_code, job("GET", "nope").status_code) == (404, 405, 404)
    assert server.ask("GET", "/v2/other/health").status_code == 404


# What was observed, by a plain driver.


def burst(server, count):
    """So many at once, on connections that are open before: status, body, end and worker of each, in order of their ends."""
    start = threading.Barrier(count)

    def one(n):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.connect()
        start.wait(30)
        begin = time.monotonic()
        connection.request("POST", "/api/v1/tryon", json.dumps(ORDER), {"content-type": "application/json", "x-request-id": f"req-{n}"})
        reply = connection.getresponse()
        body = json.loads(reply.read())
        connection.close()
        return reply.status, body, time.monotonic() - begin, reply.getheader("x-worker-id")

    with ThreadPoolExecutor(count) as pool:
        return sorted(pool.map(one, range(count)), key=lambda each: each[2])


def test_four_of_fifteen_are_dropped_after_two_minutes(platform):
    """R1 and R2: one worker from cold, 9.6 s each: eleven are served in the time that fifteen would wait. A machine that is busy
    may cost one of them its turn, and a platform that is wrong is wrong every time."""
    for _ in range(4):
        server = platform("runpod", "workers_max=1", time_scale="0.05")
        ended = burst(server, 15)
        served = [each for each in ended if each[0] == 200]
        dropped = [each for each in ended if each[0] != 200]
        assert all(each[:2] == (400, {"error": "no workers available"}) for each in dropped)
        # Whoever was dropped had waited for two minutes; nobody was served who had.
        for story in truth(server)["requests"]["requests"]:
            waited = (story["started_ms"] or story["finished_ms"]) - story["queued_ms"]
            assert (waited >= 6000) == (story["dropped"] is not None), story
        if len(served) == 11:
            break
        server.end()
    assert (len(served), len(dropped)) == (11, 4), truth(server)["workers"]
    # What was called slow is a place in the queue: the last waits ten times as long as it is served.
    account = truth(server)
    assert account["requests"]["dropped"] == {"cap": 4}
    (worker,) = account["workers"]
    assert worker["served"] == 11
    services = sorted(r["service_ms"] for r in account["requests"]["requests"] if r["service_ms"])
    assert max(each[2] for each in served) > 8 * services[5] / 1000
    # All were given up at the same time, as a deadline does it, and not one after the other.
    gaps = [each[2] for each in dropped]
    assert max(gaps) - min(gaps) < services[0] / 1000
    assert 9.6 * 0.9 < services[5] / 1000 / 0.05 < 9.6 * 1.2


def test_three_lanes_then_four_and_one_worker_left_out(platform):
    """R1 and R4: four warm workers of which one gets nothing, and a fifth that comes after the queue's delay and its start."""
    server = platform("runpod", "workers_min=4", "workers_max=5", time_scale=SCALE)
    wait_for(lambda: sum(w["phase"] == "healthy" for w in truth(server)["workers"]) == 4)
    burst(server, 3)  # the first call of each
    ended = burst(server, 20)
    assert {each[0] for each in ended} == {200}
    account = truth(server)
    stories = [r for r in account["requests"]["requests"] if r["status"] == 200][3:]
    begun = min(r["queued_ms"] for r in stories)
    served = {w["id"]: w["served"] for w in account["workers"]}
    assert [worker for worker, count in served.items() if count == 0] == [1]
    assert len(served) == 5 and account["workers"][1]["phase"] == "healthy"
    # The staircase as a client sees it: three end together, twice at least, before the fourth lane has its first.
    lanes = [each[3] for each in ended]
    fourth = lanes.index("worker-4")
    assert fourth >= 6 and set(lanes[:fourth]) == {"worker-0", "worker-2", "worker-3"}
    assert set(lanes[fourth:]) == {"worker-0", "worker-2", "worker-3", "worker-4"}
    # It came after 4 s of waiting and 13 s of starting.
    first = min(r["started_ms"] for r in stories if r["worker"] == 4)
    assert (first - begun) / 1000 / float(SCALE) >= 17
    # And its first call took longer than the others.
    services = [r["service_ms"] for r in stories if r["worker"] == 4]
    assert services[0] > 1.3 * sorted(services[1:])[0]


@pytest.mark.parametrize("preset", ["runpod", "runpod-fixed"])
def test_health_while_a_request_is_served_and_while_a_worker_starts(platform, preset):
    """R3 and R5: whether /ping waits for the inference, and whether it ever says that a worker is starting."""
    server = platform(preset, "workers_max=1", "workers_min=0", "worker_concurrency=1", time_scale="0.05")
    said = [server.ask("GET", "/ping").status_code]
    wait_for(lambda: said.append(server.ask("GET", "/ping").status_code) or said[-1] == 200)
    with ThreadPoolExecutor(1) as pool:
        inference = pool.submit(server.tryon)
        wait_for(lambda: truth(server)["queue"]["in_progress"] == 1)
        during = server.ask("GET", "/ping", headers={"x-request-id": "during"})
        still = not inference.done()
        assert during.status_code == 200 and inference.result().status_code == 200
    (probe,) = [r for r in truth(server)["requests"]["requests"] if r["id"] == "during"]
    served = max(r["service_ms"] or 0 for r in truth(server)["requests"]["requests"])
    if preset == "runpod":
        assert set(said) == {200} and probe["waited_inside_ms"] > 0.3 * served
    else:
        assert 204 in said and still and probe["waited_inside_ms"] < 0.3 * served


# Workers are processes.


def alive(pid) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_worker_that_dies_is_replaced_and_none_outlives_the_platform(platform):
    server = platform("runpod-fixed", "workers_min=2", "workers_max=2", time_scale="0.01")
    ready = lambda: [w for w in truth(server)["workers"] if w["phase"] == "healthy"]
    first = wait_for(lambda: len(ready()) == 2 and ready())
    os.kill(first[0]["pid"], signal.SIGKILL)
    wait_for(lambda: len(truth(server)["workers"]) == 3 and len(ready()) == 2)
    assert truth(server)["workers"][first[0]["id"]]["why_stopped"] == "its process ended"
    assert server.tryon().status_code == 200
    pids = [w["pid"] for w in ready()]
    assert all(map(alive, pids))
    words = Path(f"/proc/{pids[0]}/cmdline").read_text().split("\0")
    (folder,) = [Path(word.removeprefix("heirloom=")) for word in words if word.startswith("heirloom=")]
    assert folder.is_dir()
    server.child.kill()  # not asked, and it cannot clean up
    server.child.wait()
    wait_for(lambda: not any(map(alive, pids)) and not folder.exists())


def test_workers_are_stopped_when_idle_and_flashboot_takes_them_up_again(platform):
    server = platform("runpod", "flashboot=true", "flashboot_keep_s=100000", "workers_max=1", time_scale="0.01")
    assert server.tryon().status_code == 200
    stopped = wait_for(lambda: (w := truth(server)["workers"][0])["why_stopped"] == "idle" and w)
    assert truth(server)["workers_kept"] == 1
    assert server.tryon().status_code == 200
    account = truth(server)
    again = account["workers"][1]
    assert (again["flashed"], again["pid"]) == (True, stopped["pid"])
    services = [r["service_ms"] for r in account["requests"]["requests"]]
    # It was warm already: no first call.
    assert services[0] > 1.3 * services[1]
    up = lambda w: w["ready_ms"] - w["started_ms"]
    assert up(again) < up(stopped) and account["price"]["usd"] > 0


def test_too_many_are_refused_at_once_where_nobody_is_dropped_late(platform):
    """The fixed preset's answer to R2."""
    server = platform("runpod-fixed", "workers_min=1", "workers_max=1", time_scale="0.01")
    ended = burst(server, 30)
    statuses = [each[0] for each in ended]
    assert set(statuses) == {200, 503} and statuses.count(200) >= 3
    dropped = truth(server)["requests"]["dropped"]
    assert dropped["full"] >= 10 and sum(dropped.values()) == statuses.count(503)


def test_workers_come_with_the_requests_where_nothing_is_wrong(platform):
    """The fixed preset's answer to R1 and R4: one worker for each request, as far as there may be, and none left out."""
    server = platform("runpod-fixed", "workers_max=4", time_scale="0.02")
    ended = burst(server, 12)
    assert {each[0] for each in ended} == {200}
    served = {w["name"]: w["served"] for w in truth(server)["workers"]}
    assert len(served) == 4 and min(served.values()) >= 1 and sum(served.values()) == 12


def test_the_program_of_the_workers_is_this_one(platform):
    server = platform("runpod-fixed", time_scale="0.01")
    worker = wait_for(lambda: truth(server)["workers"][0]["pid"])
    line = subprocess.run(["ps", "-o", "args=", "-p", str(worker)], capture_output=True, text=True, check=True).stdout
    assert line.split()[:3] == [str(binary()), "serve", "runpod-worker"]
