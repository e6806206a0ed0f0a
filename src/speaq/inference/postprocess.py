"""From the output of the network to scene graphs.

The output is reduced on its device and copied to the host once per batch; `GraphBuilder` does the rest there.
Shape letters: see `speaq.structures`; K: predicates kept per query (TEST.NUM_REL).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from speaq.boxes import cxcywh_to_xyxy
from speaq.errors import SpeaqError
from speaq.inference.given_boxes import GivenBoxes
from speaq.inference.graph_builder import GraphBuilder, Reduced
from speaq.scene_graph import SceneGraph
from speaq.structures import RawOutput


def reduce_output(output: RawOutput, num_rel: int) -> Reduced:
    """Reduce the output of the last decoder layer, with K = ``num_rel``.

    Raises:
        SpeaqError: ``num_rel`` is not between 1 and R.
        ValueError: P is not a multiple of Q.
    """
    entity_queries, queries = output.subject_logits.shape[2], output.predicate_logits.shape[2]
    if queries % entity_queries:
        raise ValueError(f"{queries} predicate queries are not a multiple of {entity_queries} entity queries")
    num_predicates = output.predicate_logits.shape[-1] - 1
    if not 1 <= num_rel <= num_predicates:
        raise SpeaqError(
            f"TEST.NUM_REL is {num_rel}, expected 1 to {num_predicates}, "
            "the number of predicate classes of the model"
        )
    logits = torch.stack((output.subject_logits[-1], output.object_logits[-1]), dim=1).float()
    boxes = torch.stack((output.subject_boxes[-1], output.object_boxes[-1]), dim=1).float()
    object_probs = logits.softmax(dim=-1)[..., :-1]
    scores, labels = object_probs.max(dim=-1)
    probs = output.predicate_logits[-1].float().softmax(dim=-1)
    predicates = probs[..., :-1].topk(num_rel, dim=-1).indices
    return Reduced(scores, labels, cxcywh_to_xyxy(boxes), probs, predicates, object_probs)


@dataclass(kw_only=True, eq=False)
class PostProcessor(GraphBuilder):
    """Builds the scene graphs of a batch from the last decoder layer.

    Attributes:
        num_rel: K, predicates kept per query (TEST.NUM_REL).
    """

    num_rel: int = 1

    @torch.no_grad()
    def __call__(
        self,
        output: RawOutput,
        sizes: Tensor | Sequence[tuple[int, int]],
        given: Sequence[GivenBoxes] | None = None,
    ) -> list[SceneGraph]:
        """One scene graph per image; ``sizes`` (B, 2) are height and width of the original images in pixels.

        ``given`` are the boxes of each image, if they are to be the entities; see `GraphBuilder.build`.

        Raises:
            SpeaqError, ValueError: see `reduce_output`.
        """
        reduced = reduce_output(output, self.num_rel)
        if given is None:
            reduced = reduced._replace(object_probs=None)
        return self.build(_to_host(reduced), torch.as_tensor(sizes).tolist(), given)


def _to_host(reduced: Reduced) -> Reduced:
    """Copy tensors (B, ...) to the host in one transfer, which synchronizes with the device only once.

    Integers are transferred as float32, which is exact up to 2^24.
    """
    tensors = [tensor for tensor in reduced if tensor is not None]
    rows = [tensor.flatten(1).float() for tensor in tensors]
    packed = torch.cat(rows, dim=1).cpu().numpy()
    ends = np.cumsum([row.shape[1] for row in rows])
    arrays = (
        part.reshape(tensor.shape).astype(np.float32 if tensor.is_floating_point() else np.int64)
        for part, tensor in zip(np.split(packed, ends[:-1], axis=1), tensors, strict=True)
    )
    return Reduced(*arrays)
