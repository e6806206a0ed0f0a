"""``speaq serve``."""

from typing import Annotated

from cyclopts import Parameter, validators
from cyclopts.types import NonNegativeFloat, PositiveFloat, PositiveInt

from speaq.cli.models import Engine, Precision, load_predictor
from speaq.errors import SpeaqError


def serve(
    model: str,
    *,
    engine: Engine | None = None,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))] = 8000,
    device: str = "cpu",
    dtype: Precision = "float32",
    max_batch: PositiveInt = 8,
    max_wait_ms: NonNegativeFloat = 0.0,
    max_queue: PositiveInt = 64,
    max_images: PositiveInt = 16,
    max_body_mb: PositiveFloat = 20.0,
    max_pixels: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=178_956_970))] = 16_000_000,
    timeout: PositiveFloat = 30.0,
    drain: NonNegativeFloat = 0.0,
    cors: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
) -> None:
    """Serve predictions over HTTP: POST /predict, GET /health and /metrics, documentation at /docs.

    If the environment variable SPEAQ_API_KEY is set, requests need it as bearer token. SIGTERM and Ctrl+C
    end the server after it has answered what it accepted.

    Args:
        model: folder of a saved model, output folder of a training, a model id on the hub, or an ONNX file of
            speaq export.
        engine: what computes the network: torch, onnx (onnxruntime) or openvino; the last two take an ONNX
            file, or export another model first. By default onnx for an ONNX file, else torch.
        host: address to listen on; 0.0.0.0 for all of this machine.
        port: port to listen on; 0 for any free one.
        device: cpu, cuda, cuda:1, ...
        dtype: bfloat16 is faster on a GPU and slightly less accurate.
        max_batch: maximum number of images per forward pass; only images of equal resized size share one.
        max_wait_ms: how long an image waits for others while the model has nothing to do.
        max_queue: images that are accepted and not answered yet; more are refused with status 503.
        max_images: images of a request.
        max_body_mb: size of a request in 10^6 bytes.
        max_pixels: pixels of an image.
        timeout: seconds until a request is given up, with status 504.
        drain: seconds to answer new requests with status 503 before the end, for a load balancer to notice.
        cors: web sites whose pages may send requests, such as https://example.org; by default none.
    """
    import os
    import sys

    try:
        from speaq.tools.serve import Limits, create_app, run
    except ModuleNotFoundError as error:
        raise SpeaqError(
            f'speaq serve needs packages that are not installed ({error}): pip install "speaq[serve]"'
        ) from error

    limits = Limits(
        max_batch=max_batch,
        max_wait=max_wait_ms / 1000,
        max_queue=max_queue,
        max_images=max_images,
        max_body=int(max_body_mb * 1e6),
        max_pixels=max_pixels,
        timeout=timeout,
    )
    key = os.environ.get("SPEAQ_API_KEY") or None
    if key is None and host not in ("127.0.0.1", "localhost", "::1"):
        sys.stderr.write(f"speaq: anyone who reaches {host} can use this server; set SPEAQ_API_KEY\n")
    predictor = load_predictor(model, engine, device, dtype)
    app = create_app(predictor, limits, dtype=dtype, api_key=key, origins=cors or ())
    run(app, host=host, port=port, drain=drain)
