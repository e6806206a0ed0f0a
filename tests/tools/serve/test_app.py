"""The prediction server: answers, limits, batches and the end of a server."""

import asyncio
import base64
import io
import json
import signal
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("fastapi_offline")
httpx = pytest.importorskip("httpx")

import uvicorn  # noqa: E402

from speaq.pretrained import Speaq  # noqa: E402
from speaq.scene_graph import SceneGraph  # noqa: E402
from speaq.tools.serve import Limits, create_app  # noqa: E402
from speaq.tools.serve.server import _Server  # noqa: E402
from tiny_model import tiny_config  # noqa: E402


def png(width: int = 40, height: int = 32, seed: int = 0, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.fixture(scope="module")
def model() -> Speaq:
    torch.manual_seed(0)
    return Speaq(tiny_config(min_size=32, max_size=64)).eval()


class SlowModel:
    """Predicts when the test lets it."""

    def __init__(self, model: Speaq) -> None:
        self.config, self.started, self.go = model.config, threading.Event(), threading.Event()
        self._model = model

    def predict_each(self, images, **options):
        self.started.set()
        assert self.go.wait(10)
        return self._model.predict_each(images, **options)


def talk(app, conversation: Callable):
    """What a coroutine that talks to an application through an HTTP client returns."""

    async def main():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            return await conversation(client)

    return asyncio.run(main())


def post(app, path: str = "/predict", **request):
    return talk(app, lambda client: client.post(path, **request))


async def started(slow: SlowModel) -> None:
    """Wait until the model has an image."""
    await asyncio.to_thread(slow.started.wait, 10)


def test_one_file_gives_the_scene_graph_of_predict(model):
    answer = post(create_app(model), files={"image": png()}, data={"relations": "3", "score": "0.001"})
    expected = model.predict(png(), top=3, score=0.001)
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    assert SceneGraph.from_json(answer.text) == expected
    assert answer.text == expected.to_json()


def test_several_files_and_json_give_lists(model):
    files = [png(seed=1), png(width=64, seed=2, kind="JPEG")]
    expected = [json.loads(graph.to_json()) for graph in model.predict(files, top=4)]
    form = post(create_app(model), files=[("images", file) for file in files], data={"relations": "4"}).json()
    document = post(create_app(model), json={"images": [*map(encoded, files)], "relations": 4}).json()
    assert form == document == {"graphs": expected}
    one = post(create_app(model), json={"images": [encoded(files[0])], "relations": 4}).json()
    assert one == {"graphs": expected[:1]}


def test_given_boxes(model):
    boxes, labels = [[0, 0, 20, 20], [10, 10, 40, 32]], ["cup", None]
    expected = model.predict(png(), boxes=boxes, labels=labels).to_json()
    data = {"boxes": json.dumps(boxes), "labels": json.dumps(labels)}
    assert post(create_app(model), files={"image": png()}, data=data).text == expected
    body = {"image": encoded(png()), "boxes": boxes, "labels": labels}
    assert post(create_app(model), json=body).text == expected


def test_batches_give_what_single_images_give(model):
    slow, files = SlowModel(model), [png(seed=seed, width=40 + 24 * (seed % 2)) for seed in range(9)]
    app = create_app(slow, Limits(max_batch=4))

    async def conversation(client):
        first = asyncio.create_task(client.post("/predict", files={"image": files[0]}))
        await started(slow)
        others = [asyncio.create_task(client.post("/predict", files={"image": file})) for file in files[1:]]
        while app.state.service.accepted < len(files) or len(app.state.service._batcher._waiting) < 2:
            await asyncio.sleep(0.01)
        slow.go.set()
        answers = await asyncio.gather(first, *others)
        return [SceneGraph.from_json(answer.text) for answer in answers], await client.get("/metrics")

    graphs, metrics = talk(app, conversation)
    for graph, expected in zip(graphs, model.predict(files, batch_size=1, top=100), strict=True):
        assert graph.pairs.tolist() == expected.pairs.tolist()
        np.testing.assert_array_equal(graph.predicates, expected.predicates)
        np.testing.assert_allclose(graph.boxes, expected.boxes, atol=1e-4)  # pixels
        np.testing.assert_allclose(graph.triplet_scores, expected.triplet_scores, atol=1e-5)
    values = dict(line.rsplit(" ", 1) for line in metrics.text.splitlines() if line[0] != "#")
    assert values["speaq_batch_size_sum"] == "9.0" and float(values["speaq_batch_size_count"]) < 9
    assert values['speaq_requests_total{status="200"}'] == values["speaq_request_seconds_count"] == "9.0"
    assert values["speaq_queue_length"] == "0.0"


SMALL = Limits(max_body=20_000, max_pixels=2000, max_images=2)


@pytest.mark.parametrize(
    ("status", "request_", "message"),
    [
        (400, {"content": b"{", "headers": {"Content-Type": "application/json"}}, "Invalid JSON"),
        (400, {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, "boundary"),
        (413, {"files": {"image": bytes(30_000)}}, "at most 20,000 bytes"),
        (413, {"content": iter([bytes(9000)] * 3), "headers": {"Content-Type": "application/json"}}, "bytes"),
        (413, {"files": {"image": png(50, 50)}}, "at most 2,000 pixels (50x50)"),
        (413, {"files": [("images", png(8, 8))] * 3}, "at most 2 images, found 3"),
        (415, {"content": b"x", "headers": {"Content-Type": "image/png"}}, "'image/png'"),
        (415, {"files": {"image": b"%!PS-Adobe-3.0"}}, "expected an image file as BMP"),
        (422, {"files": {"image": png()[:900]}}, "image: the image file is damaged"),
        (422, {"files": [("images", png(8, 8)), ("images", png()[:900])]}, "image 1: the image file"),
        (422, {"files": {"file": png()}}, "file: expected the files image or images"),
        (422, {"files": {"score": (None, "1")}}, "either one file image"),  # a form without a file
        (422, {"files": {"image": png(), "images": png()}}, "either one file image"),
        (422, {"files": {"image": png()}, "data": {"score": "nan"}}, "score: "),
        (422, {"files": {"image": png()}, "data": {"relations": "-1"}}, "relations: "),
        (422, {"files": {"image": png()}, "data": {"boxes": "[[0,0"}}, "boxes: expected JSON"),
        (422, {"files": {"image": png()}, "data": {"boxes": "[" * 9000}}, "boxes: expected JSON"),
        (422, {"files": {"image": png()}, "data": {"boxes": "[[0,0,NaN,1]]"}}, "boxes[0]"),
        (422, {"files": {"image": png()}, "data": {"boxes": f"[[0,0,{'9' * 400},1]]"}}, "boxes: expected"),
        (422, {"files": {"image": png()}, "data": {"boxes": "[[50,0,60,9]]"}}, "in the image of 40x32"),
        (422, {"files": {"image": png()}, "data": {"boxes": "[[0,0,9,9]]", "labels": '["x"]'}}, "'cup'"),
        (422, {"json": {"image": encoded(png()), "boxes": [[0, 0, 9, 9]], "labels": ["x" * 9000]}}, "'cup'"),
        (422, {"json": {"image": encoded(png()), "boxes": ["x" * 9000]}}, "boxes: expected an array (N, 4)"),
        (422, {"json": {"image": encoded(png()), "boxes": [[0, 0, 1e300, 9]]}}, "boxes[0]"),
        (422, {"json": {"image": "%%%"}}, "base64"),
        (422, {"json": {"images": []}}, "images: "),
        (422, {"json": {"images": [encoded(png())] * 2, "boxes": [[]]}}, "an entry per image, 2, found 1"),
        (422, {"json": {}}, "either image or images"),
        (422, {"json": {"image": encoded(png()), "colour": 1}}, "colour: "),
    ],
)
def test_refused_requests(model, status, request_, message):
    if not isinstance(request_.get("content", b""), bytes):
        request_ = {**request_, "content": _stream(request_["content"])}
    answer = post(create_app(model, SMALL), **request_)
    assert answer.status_code == status
    assert message in answer.json()["detail"] and len(answer.text) < 1000


async def _stream(parts):
    for part in parts:
        yield part


def test_full_queue_is_503(model):
    slow = SlowModel(model)
    app = create_app(slow, Limits(max_queue=2))

    async def conversation(client):
        first = asyncio.create_task(client.post("/predict", files={"image": png()}))
        await started(slow)
        refused = await client.post("/predict", files=[("images", png()), ("images", png())])
        slow.go.set()
        return refused, await first, await client.post("/predict", files={"image": png()})

    refused, first, later = talk(app, conversation)
    assert refused.status_code == 503 and refused.headers["retry-after"] == "1"
    assert first.status_code == later.status_code == 200


def test_timeout_is_504_and_slow_upload_408(model):
    slow = SlowModel(model)

    async def endless():
        yield b"{"
        await asyncio.sleep(5)

    async def conversation(client):
        no_upload = await client.post(
            "/predict", content=endless(), headers={"Content-Type": "application/json"}
        )
        no_answer = await client.post("/predict", files={"image": png()})
        slow.go.set()
        return no_upload, no_answer, await client.post("/predict", files={"image": png()})

    no_upload, no_answer, later = talk(create_app(slow, Limits(timeout=0.2)), conversation)
    assert (no_upload.status_code, no_answer.status_code, later.status_code) == (408, 504, 200)


def test_failing_prediction_is_500_and_the_server_goes_on(model, caplog):
    failing = SlowModel(model)
    failing.predict_each = lambda *_, **__: 1 / 0  # pyright: ignore[reportAttributeAccessIssue]

    async def conversation(client):
        return [await client.post("/predict", files={"image": png()}) for _ in range(2)]

    for answer in talk(create_app(failing), conversation):
        assert answer.status_code == 500 and "log" in answer.json()["detail"]
    assert "ZeroDivisionError" in caplog.text


def test_api_key(model):
    async def conversation(client):
        tokens = [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer s3cret"}]
        paths = [await client.get("/metrics", headers=token) for token in tokens]
        files = [await client.post("/predict", files={"image": png()}, headers=token) for token in tokens]
        return [*paths, *files, await client.get("/health")]

    answers = talk(create_app(model, api_key="s3cret"), conversation)
    assert [answer.status_code for answer in answers] == [401, 401, 200, 401, 401, 200, 200]
    assert answers[0].headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("origins", "allowed"), [((), None), (["https://a.example"], "https://a.example")])
def test_other_web_sites_only_if_asked(model, origins, allowed):
    headers = {"Origin": "https://a.example"}
    answer = post(create_app(model, origins=origins), files={"image": png()}, headers=headers)
    assert answer.headers.get("access-control-allow-origin") == allowed


def test_documentation_needs_no_other_host(model):
    async def conversation(client):
        page = await client.get("/docs")
        script = await client.get("/static-offline-docs/swagger-ui-bundle.js")
        return page.text, script.status_code, (await client.get("/openapi.json")).json()

    page, status, document = talk(create_app(model), conversation)
    assert "http" not in page.replace("http://www.w3.org", "") and status == 200
    operation = document["paths"]["/predict"]["post"]
    assert {"400", "401", "413", "415", "422", "503", "504"} < operation["responses"].keys()
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    for example in examples.values():
        assert post(create_app(model), json=example["value"]).status_code == 200


def test_a_second_signal_ends_a_server_at_once(model, monkeypatch):
    monkeypatch.setattr("signal.raise_signal", (raised := []).append)
    monkeypatch.setattr("signal.signal", lambda *arguments: raised.append(arguments))
    app = create_app(model)
    server = _Server(uvicorn.Config(app), app, drain=0.0)
    server.handle_exit(signal.SIGINT, None)
    assert raised == []
    server.handle_exit(signal.SIGINT, None)
    assert raised == [(signal.SIGINT, signal.SIG_DFL), signal.SIGINT]


def test_slow_connections_are_closed(model, monkeypatch):
    monkeypatch.setattr("speaq.tools.serve.server._GRACE", 0.0)

    async def main() -> list[bytes | BaseException]:
        app = create_app(model, Limits(timeout=0.2))
        config = uvicorn.Config(app, port=0, log_level="warning")
        listener = config.bind_socket()
        listener.listen()
        server = _Server(config, app, drain=0.0)
        running = asyncio.create_task(server._serve(sockets=[listener]))
        header, idle = [
            await asyncio.open_connection("127.0.0.1", listener.getsockname()[1]) for _ in range(2)
        ]
        header[1].write(b"POST /predict HTTP/1.1\r\nX: ")
        async with asyncio.timeout(10):
            received = await asyncio.gather(header[0].read(), idle[0].read(), return_exceptions=True)
        server.should_exit = True
        await running
        return received

    for received in asyncio.run(main()):
        assert received == b"" or isinstance(received, ConnectionError)


def test_end_of_a_server(model):
    slow = SlowModel(model)
    app = create_app(slow)
    answers = {}

    async def main():
        config = uvicorn.Config(app, port=0, log_level="warning")
        listener = config.bind_socket()
        server = _Server(config, app, drain=0.0)
        running = asyncio.create_task(server._serve(sockets=[listener]))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
            accepted = asyncio.create_task(client.post("/predict", files={"image": png()}))
            await started(slow)
            server.handle_exit(signal.SIGTERM, None)
            answers["health"] = await client.get("/health")
            answers["new"] = await client.post("/predict", files={"image": png()})
            assert not running.done()
            slow.go.set()
            answers["accepted"] = await accepted
        await running

    asyncio.run(main())
    assert answers["health"].status_code == 503 and answers["health"].json() == {"status": "draining"}
    assert answers["new"].status_code == 503 and answers["new"].headers["retry-after"]
    assert answers["accepted"].status_code == 200
