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
    """Serve predictions over HTTP: POST /predict, GET /health and /metrics; documentation at /docs.

    If the environment variable SPEAQ_API_KEY is set, requests need it as bearer token. After SIGTERM or
    Ctrl+C, the server answers the requests that it has accepted, and ends.

    Args:
        model: folder of a saved model, output folder of a training run, model id on the hub, or ONNX file of
            speaq export.
        engine: what runs the network: torch, onnx (onnxruntime) or openvino. onnx and openvino take an ONNX
            file, or export the model once, to exported.onnx in its folder. By default onnx for an ONNX file,
            otherwise torch.
        host: address to listen on; 0.0.0.0 for all network interfaces.
        port: port to listen on; 0 for any free one.
        device: cpu, cuda, cuda:1, ...
        dtype: bfloat16 is slightly less accurate; it is faster on GPUs, and in OpenVINO on CPUs that support
            it.
        max_batch: maximum number of images per forward pass; only images of the same resized size are
            batched.
        max_wait_ms: maximum time that an image waits for others while the model is idle.
        max_queue: maximum number of images that are accepted and not answered yet; more are refused with
            status 503.
        max_images: maximum number of images in a request.
        max_body_mb: maximum size of a request in 10^6 bytes.
        max_pixels: maximum number of pixels of an image.
        timeout: seconds after which a request is answered with status 504.
        drain: seconds of answering new requests with status 503 before the server ends, so that a load
            balancer notices.
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
