"""Throughput and latency of `speaq serve`, its shutdown under load, and uploads that are no images.

    python benchmarks/serve.py demo/run --images demo/dataset/VG_100K

Starts servers on this machine, with batches of --max-batch images and of one, and sends each the same images
from 1 to 64 connections at once. Then SIGTERM ends a server under load, and every request must have been
answered, with 200 or 503. Last, 100 damaged, oversized or wrong requests must be refused with a status below
500, while other requests go on. The client is a process of its own with a thread per connection.
"""

import argparse
import base64
import http.client
import itertools
import random
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BOUNDARY = "boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form(file: bytes, name: str = "image", **fields: str) -> bytes:
    """A form with a file."""
    parts = [f'name="{key}"\r\n\r\n{value}'.encode() for key, value in fields.items()]
    parts.append(f'name="{name}"; filename="image"\r\n\r\n'.encode() + file)
    start = f"--{BOUNDARY}\r\nContent-Disposition: form-data; ".encode()
    return b"".join(start + part + b"\r\n" for part in parts) + f"--{BOUNDARY}--\r\n".encode()


def post(connection: http.client.HTTPConnection, body: bytes, kind: str = FORM) -> tuple[int, bytes]:
    """The status and content of the answer to a request."""
    connection.request("POST", "/predict", body, {"Content-Type": kind})
    answer = connection.getresponse()
    return answer.status, answer.read()


@contextmanager
def server(model: str, *options: str) -> Iterator[tuple[subprocess.Popen, int]]:
    """A running server, and its port."""
    command = [sys.executable, "-m", "speaq", "serve", model, "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = []
    try:
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"running on http://127.0.0.1:(\d+)", line):
                port = int(found[1])
            if "startup complete" in line:
                break
        else:
            raise SystemExit("".join(lines))
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield process, port
    finally:
        process.terminate()
        process.wait()


def load(port: int, bodies: list[bytes], concurrency: int, seconds: float) -> tuple[list[float], Counter]:
    """Send requests from several connections; return the latencies in seconds and the numbers of outcomes.

    Outcomes are statuses; "refused", if the server does not accept the connection; and "lost", if there is no
    answer on an accepted connection. After any of them but 200, a connection is not used any more.
    """
    latencies, outcomes, end = [], Counter(), time.perf_counter() + seconds

    def send(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for turn in itertools.count():
            start = time.perf_counter()
            if start > end:
                return
            try:
                status, _ = post(connection, bodies[(number + turn) % len(bodies)])
            except ConnectionRefusedError:
                outcomes["refused"] += 1
                return
            except (ConnectionError, http.client.HTTPException):
                outcomes["lost"] += 1
                return
            outcomes[status] += 1
            if status != 200:
                return
            latencies.append(time.perf_counter() - start)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies, outcomes


def measure(model: str, bodies: list[bytes], concurrencies: list[int], seconds: float, batch: int) -> None:
    """Print the table of throughput and latency."""
    print(f"{'connections':>11}{'batch':>6}{'images/s':>10}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}  outcomes")
    with (
        server(model, "--max-batch", "1") as (_, single),
        server(model, "--max-batch", str(batch)) as (_, many),
    ):
        for port in (single, many):
            load(port, bodies, 4, 1)  # warm-up
        for concurrency in concurrencies:
            for port, size in ((single, 1), (many, batch)):
                latencies, outcomes = load(port, bodies, concurrency, seconds)
                latencies.sort()
                p50, p95, p99 = (1e3 * latencies[int(len(latencies) * part)] for part in (0.5, 0.95, 0.99))
                rate = len(latencies) / seconds
                print(f"{concurrency:11}{size:6}{rate:10.1f}{p50:9.1f}{p95:9.1f}{p99:9.1f}  {dict(outcomes)}")


def shut_down(model: str, bodies: list[bytes], drain: str) -> None:
    """End a server under load."""
    with server(model, "--drain", drain) as (process, port):
        threading.Timer(2, process.send_signal, [signal.SIGTERM]).start()
        _, outcomes = load(port, bodies, 32, 30)
        print(f"SIGTERM under load, --drain {drain}: {dict(outcomes)}, exit code {process.wait(30)}")


def png(width: int, height: int) -> bytes:
    """A PNG file whose pixels are zeros, of any size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packer, row = zlib.compressobj(9), bytes(3 * width + 1)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def hostile_requests(image: bytes) -> list[tuple[bytes, str]]:
    """100 requests, with their content types, that must be refused."""
    rng, kind = random.Random(0), "application/json"
    text = base64.b64encode(image).decode()
    requests = [(form(image[: len(image) * i // 21]), FORM) for i in range(20)]
    requests += [(form(png(5000 + 500 * i, 5000)), FORM) for i in range(8)]
    requests += [(form(rng.randbytes(rng.randrange(1, 10**5))), FORM) for _ in range(10)]
    requests += [(form(image[:20] + rng.randbytes(len(image) - 20)), FORM) for _ in range(10)]
    files = [b"%!PS-Adobe-3.0\nshowpage", b"%PDF-1.7", b"<svg/>", b"GIF89a", b"BM", b"II*\0", b"P6 9 9 255 "]
    requests += [(form(file), FORM) for file in files]
    values = ["NaN", "Infinity", "-1", "2", "1e999", '"high"', "null", "[0]"]
    requests += [(f'{{"image": "{text}", "score": {value}}}'.encode(), kind) for value in values]
    requests += [(form(image, score=value), FORM) for value in ("nan", "inf", "-0.1", "x")]
    requests += [(form(image, relations=value), FORM) for value in ("-1", "1.5", "9" * 400)]
    boxes = ["[[0,0,NaN,9]]", "[[9,9,0,0]]", "[[1,2,3]]", "x", "[" * 10**5, f"[[0,0,1,{'9' * 4000}]]"]
    requests += [(form(image, boxes=value), FORM) for value in [*boxes, '[["a","b","c","d"]]', "{}", "1"]]
    requests += [(form(image, boxes="[[0,0,9,9]]", labels=value), FORM) for value in ('["?"]', "[1e9]", "[]")]
    bodies = [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 10**6, b'{"image": 1}', b'{"images": []}']
    requests += [(body, kind) for body in [*bodies, b'{"image": "%%%"}', b'{"unknown": 1}']]
    requests += [(b'{"image": "' + b"A" * 10**6 * size + b'"}', kind) for size in (1, 10, 19, 30)]
    requests += [(image, kind) for kind in ("image/png", "text/plain", "multipart/form-data", "")]
    requests += [(form(image, name="file"), FORM)]
    assert len(requests) >= 100, len(requests)
    return requests


def attack(model: str, image: bytes) -> None:
    """Send hostile requests while others are answered."""
    with server(model) as (process, port):
        statuses, others = Counter(), Counter()
        thread = threading.Thread(target=lambda: others.update(load(port, [form(image)], 2, 10)[1]))
        thread.start()
        slowest = 0.0
        requests = hostile_requests(image)
        for body, kind in requests:
            start = time.perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                statuses[post(connection, body, kind)[0]] += 1
            except ConnectionError as error:  # the server answers before it has read a large body
                statuses[type(error).__name__] += 1
            slowest = max(slowest, time.perf_counter() - start)
        thread.join()
        alive = post(http.client.HTTPConnection("127.0.0.1", port), form(image))[0] == 200
        memory = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
        peak = f", peak memory {int(memory[1]) / 1e6:.2f} GB" if memory else ""
        print(
            f"{len(requests)} hostile requests: {dict(sorted(statuses.items(), key=str))}, slowest "
            f"{slowest:.2f} s; meanwhile {dict(others)}; afterwards {'200' if alive else 'no answer'}{peak}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--images", type=Path, required=True, help="folder of .jpg files")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--max-batch", type=int, default=8)
    parser.add_argument("--only", choices=["load", "shutdown", "hostile"])
    arguments = parser.parse_args()
    files = [file.read_bytes() for file in sorted(arguments.images.glob("*.jpg"))[:64]]
    bodies = [form(file, relations="20") for file in files]
    if arguments.only in (None, "load"):
        measure(arguments.model, bodies, arguments.concurrency, arguments.seconds, arguments.max_batch)
    if arguments.only in (None, "shutdown"):
        shut_down(arguments.model, bodies, "0")
        shut_down(arguments.model, bodies, "1")
    if arguments.only in (None, "hostile"):
        attack(arguments.model, files[0])


if __name__ == "__main__":
    main()
