"""The prediction server as a deployment of Ray Serve: replicas, restarts and scaling.

    pip install "speaq[serve]" "ray[serve]"
    SPEAQ_MODEL=demo/run serve run examples.ray_serve:app

Each replica has a model, a queue and batches of its own. Ray sends the requests to them.
"""

import os

from fastapi import FastAPI
from ray import serve

from speaq import Speaq
from speaq.devices import find_device
from speaq.tools.serve import Limits, create_app

DEVICE = os.environ.get("SPEAQ_DEVICE", "cpu")


def build() -> FastAPI:
    """The web application of a replica."""
    model = Speaq.from_pretrained(os.environ["SPEAQ_MODEL"], device=find_device(DEVICE))
    return create_app(model, Limits(max_queue=64), api_key=os.environ.get("SPEAQ_API_KEY"))


deployment = serve.deployment(
    serve.ingress(build)(),
    name="speaq",
    max_ongoing_requests=64,
    autoscaling_config={"min_replicas": 1, "max_replicas": 4, "target_ongoing_requests": 16},
    ray_actor_options={"num_cpus": 1, "num_gpus": 1 if DEVICE.startswith("cuda") else 0},
    graceful_shutdown_timeout_s=60,
)
app = deployment.bind()
