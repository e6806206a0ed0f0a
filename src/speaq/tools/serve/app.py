"""The web application of a prediction server."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_offline import FastAPIOffline
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from pydantic import BaseModel

from speaq.data.transforms import resize_shortest_edge
from speaq.export.predictor import FilePredictor
from speaq.graph.schema import Document
from speaq.inference.pipeline import Precision
from speaq.scene_graph import SceneGraph
from speaq.tools.serve.batching import Batcher, PredictionError
from speaq.tools.serve.limits import Limits
from speaq.tools.serve.requests import (
    InputImage,
    JsonRequest,
    Options,
    Upload,
    open_images,
    read_upload,
)

if TYPE_CHECKING:
    from speaq.pretrained import Speaq

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_IMAGES = (1, 2, 4, 8, 16, 32, 64)
RELATIONS = 100  # of a graph without given boxes, unless the request has a number
_EXAMPLE_PNG = (  # 16x16 pixels, grey
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAGUlEQVR4nGNsaGhgIAUwkaR6VMOohiGlAQDJTAGgLgFHggAAAABJRU5E"
    "rkJggg=="
)
_DESCRIPTION = """Predict scene graphs of images.

Send a form with a file `image`, a form with several files `images`, or JSON with base64. The answer to
`image` is a scene graph, the answer to `images` is `{"graphs": [...]}` in the order of the images."""


class Service:
    """What a server knows besides the web application: its model, its queue and whether it is draining.

    Attributes:
        draining: whether new requests are refused.
        accepted: images that are accepted and not answered yet.
        registry: the measurements for Prometheus.
    """

    def __init__(self, model: "Speaq | FilePredictor", limits: Limits, dtype: Precision = "float32") -> None:
        self.limits, self.draining, self.accepted = limits, False, 0
        self._model = model
        self._dtype: Precision = dtype
        self._config = model.description if isinstance(model, FilePredictor) else model.config
        self._batcher: Batcher[InputImage, SceneGraph] = Batcher(
            self._predict, max_batch=limits.max_batch, max_wait=limits.max_wait
        )

        self.registry = registry = CollectorRegistry()
        self._requests = Counter("speaq_requests", "requests by status", ["status"], registry=registry)
        self._seconds = Histogram(
            "speaq_request_seconds", "time to answer with status 200", buckets=_SECONDS, registry=registry
        )
        self._batch_size = Histogram(
            "speaq_batch_size", "images per forward pass", buckets=_IMAGES, registry=registry
        )
        queue = Gauge("speaq_queue_length", "images accepted and not answered yet", registry=registry)
        queue.set_function(lambda: self.accepted)

    async def run(self) -> None:
        """Predict the batches until this is cancelled."""
        await self._batcher.run()

    def _predict(self, batch: list[InputImage]) -> Sequence[SceneGraph]:
        """The graphs of images of one resized size, in one forward pass."""
        self._batch_size.observe(len(batch))
        given = [item.given for item in batch if item.given is not None]
        options: dict[str, Any] = {}
        if given:
            options["boxes"] = [each.boxes for each in given]
            options["labels"] = [[None if i < 0 else i for i in each.labels.tolist()] for each in given]
        images = [item.image for item in batch]
        pairs = self._model.predict_each(images, batch_size=len(batch), dtype=self._dtype, **options)
        return [graph for _, graph in pairs]

    async def answer(self, request: Request) -> Response:
        """The answer to a request for predictions.

        Raises:
            HTTPException: 400, 408, 413, 415, 422, 500, 503 or 504.
        """
        start, status, upload = time.perf_counter(), 500, None
        try:
            if self.draining:
                raise HTTPException(503, "the server is shutting down", {"Retry-After": "10"})
            async with asyncio.timeout(self.limits.timeout):
                with self._place(1):
                    upload = await read_upload(request, self.limits)
                    with self._place(len(upload.files) - 1):
                        text = await self._predict_upload(upload)
            status = 200
            self._seconds.observe(time.perf_counter() - start)
            return Response(text, media_type="application/json")
        except TimeoutError:
            status = 408 if upload is None else 504
            what = "the request was not complete" if upload is None else "no prediction"
            raise HTTPException(status, f"{what} after {self.limits.timeout:g} seconds") from None
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            self._requests.labels(str(status)).inc()

    async def _predict_upload(self, upload: Upload) -> str:
        config = self._config
        images = await asyncio.to_thread(open_images, upload, config.vocabulary, self.limits)
        keys = []
        for image, given in images:
            size = resize_shortest_edge(image.height, image.width, config.min_size, config.max_size)
            keys.append((size, given is None))
        try:
            graphs = await asyncio.gather(*map(self._batcher.submit, keys, images))
        except PredictionError as error:
            raise HTTPException(500, "the prediction failed; the log of the server has the reason") from error
        return await asyncio.to_thread(_to_json, graphs, upload)

    @contextmanager
    def _place(self, images: int) -> Iterator[None]:
        """Places in the queue, or status 503."""
        if self.accepted + images > self.limits.max_queue:
            raise HTTPException(
                503, f"the queue is full ({self.accepted} images); try again later", {"Retry-After": "1"}
            )
        self.accepted += images
        try:
            yield
        finally:
            self.accepted -= images


def _to_json(graphs: Sequence[SceneGraph], upload: Upload) -> str:
    options = upload.options
    top = RELATIONS if options.relations is None and options.boxes is None else options.relations
    if options.score > 0 or top is not None:
        graphs = [graph.filter(score=options.score, top=top) for graph in graphs]
    texts = [graph.to_json() for graph in graphs]
    return '{"graphs": [\n' + ",\n".join(texts) + "]}\n" if upload.several else texts[0]


class Graphs(BaseModel):
    """The scene graphs of several images."""

    graphs: list[Document]


_PROBLEMS = {
    400: "not a form or JSON",
    401: "the API key is missing or wrong",
    408: "the request took too long to arrive",
    413: "too many bytes, pixels or images",
    415: "neither a form nor JSON, or not an image of a known format",
    422: "an option has a wrong value, or an image is damaged",
    500: "the prediction failed",
    503: "the queue is full, or the server is shutting down; try again after Retry-After seconds",
    504: "the prediction took too long",
}


def _request_body() -> dict[str, Any]:
    """The two forms of a request, for the OpenAPI document."""
    file = {"type": "string", "format": "binary"}
    form = Options.model_json_schema()
    form["properties"] = {"image": file, "images": {"type": "array", "items": file}, **form["properties"]}
    schema = JsonRequest.model_json_schema()
    examples = {
        "one image": {"value": {"image": _EXAMPLE_PNG, "score": 0.05, "relations": 10}},
        "several images": {"value": {"images": [_EXAMPLE_PNG, _EXAMPLE_PNG], "relations": 5}},
        "given boxes": {
            "value": {"image": _EXAMPLE_PNG, "boxes": [[0, 0, 8, 8], [4, 4, 16, 16]], "labels": [None, 0]}
        },
    }
    content = {
        "multipart/form-data": {"schema": form},
        "application/json": {"schema": schema, "examples": examples},
    }
    return {"requestBody": {"required": True, "content": content}}


def create_app(
    model: "Speaq | FilePredictor",
    limits: Limits | None = None,
    *,
    dtype: Precision = "float32",
    api_key: str | None = None,
    origins: Sequence[str] = (),
) -> FastAPI:
    """The web application of a model, for any ASGI server.

    Args:
        model: a PyTorch model, in evaluation mode on its device, or the predictor of an ONNX file.
        limits: of requests, batches and the queue.
        dtype: "bfloat16" is faster on a GPU and slightly less exact.
        api_key: what requests to /predict and /metrics must have as bearer token; by default nothing.
        origins: web sites whose pages may send requests (CORS), such as "https://example.org"; "*" for all.

    Returns:
        The application. Its ``state.service`` is the `Service`.
    """
    service = Service(model, limits or Limits(), dtype)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(service.run())
        yield
        task.cancel()

    app = FastAPIOffline(  # its documentation page needs no files of other hosts
        redoc_url=None, title="speaq", version=version("speaq"), description=_DESCRIPTION, lifespan=lifespan
    )
    app.state.service = service
    if origins:
        app.add_middleware(CORSMiddleware, allow_origins=list(origins), allow_headers=["Authorization"])
    bearer = HTTPBearer(auto_error=False, description="the value of SPEAQ_API_KEY, if the server has one")

    def check_key(found: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> None:
        if api_key is not None and not (
            found is not None and hmac.compare_digest(found.credentials.encode(), api_key.encode())
        ):
            raise HTTPException(
                401, "expected the header Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"}
            )

    @app.post(
        "/predict",
        summary="Predict scene graphs",
        dependencies=[Depends(check_key)],
        response_model=Document | Graphs,
        responses={status: {"description": text} for status, text in _PROBLEMS.items()},
        openapi_extra=_request_body(),
    )
    async def predict(request: Request) -> Response:
        return await service.answer(request)

    @app.get("/health", summary="Whether the server takes requests: ready, or draining with status 503")
    async def health(response: Response) -> dict[str, str]:
        response.status_code = 503 if service.draining else 200
        return {"status": "draining" if service.draining else "ready"}

    @app.get("/metrics", summary="Measurements for Prometheus", dependencies=[Depends(check_key)])
    async def metrics() -> Response:
        return Response(generate_latest(service.registry), media_type=CONTENT_TYPE_LATEST)

    return app
