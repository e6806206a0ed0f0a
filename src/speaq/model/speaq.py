"""The network: backbone, encoder, iterative decoder and heads.

Shape letters: see `speaq.structures`.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from speaq.model.attention import Attention
from speaq.model.backbone import Backbone
from speaq.model.config import ModelConfig
from speaq.model.decoder import Conditioning, Decoder, Memory
from speaq.model.encoder import Encoder
from speaq.model.heads import BoxHead, Heads
from speaq.model.linear import Linear, PointwiseConv2d
from speaq.model.position import grid_embedding, point_embedding
from speaq.structures import RawOutput, Vocabulary


class SpeaqModel(nn.Module):
    """SpeaQ (Kim et al., CVPR 2024): a DETR with an iterative subject -> object -> predicate decoder.

    Args:
        config: architecture and vocabulary.

    Examples:
        A new model and its output:

        >>> from speaq.model.backbone import resnet_config
        >>> resnet = resnet_config(depth=18)
        >>> config = ModelConfig(
        ...     objects=("cup", "table"), predicates=("on",), backbone=resnet, num_queries=5
        ... )
        >>> model = SpeaqModel(config)
        >>> output = model.eval()(torch.zeros(1, 3, 64, 96, dtype=torch.uint8))
        >>> output.predicate_logits.shape  # last layer, image, query, predicate or none
        torch.Size([1, 1, 5, 2])
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        dim = config.hidden_dim
        layer = {
            "hidden_dim": dim,
            "num_heads": config.num_heads,
            "feedforward_dim": config.feedforward_dim,
            "dropout": config.dropout,
        }
        self.backbone = Backbone(
            config.backbone, frozen_norm=config.frozen_norm, freeze_at=config.freeze_at
        ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.projection = PointwiseConv2d(self.backbone.channels, dim, kernel_size=1)
        self.encoder = Encoder(num_layers=config.encoder_layers, **layer)
        self.decoder = Decoder(
            num_layers=config.decoder_layers,
            num_queries=config.num_queries,
            query_multiplier=config.query_multiplier,
            **layer,
        )
        self.heads = Heads(
            hidden_dim=dim,
            num_objects=len(config.objects),
            num_predicates=len(config.predicates),
            relative_boxes=config.reference_points,
        )
        # Reference points of the entity queries, as the inverse sigmoid of (x, y) in 0..1.
        self.point_logits = (
            nn.Parameter(_grid_logits(config.num_queries)) if config.reference_points else None
        )
        self.token_class = Linear(dim, len(config.objects) + 1) if config.dense_head else None
        self.token_box = BoxHead(hidden_dim=dim, relative=True) if config.dense_head else None

        self.register_buffer("pixel_mean", torch.tensor(config.pixel_mean).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(config.pixel_std).view(3, 1, 1), persistent=False)
        self._initialize()

    def _initialize(self) -> None:
        """Xavier-uniform matrices, N(0, 1) query embeddings, zero output layers of the conditionings."""
        for part in (self.encoder, self.decoder, self.heads, self.token_class, self.token_box):
            for module in part.modules() if part is not None else ():
                if isinstance(module, nn.Linear):
                    nn.init.xavier_uniform_(module.weight)
                elif isinstance(module, nn.Embedding):
                    nn.init.normal_(module.weight)
        for module in self.modules():
            if isinstance(module, Attention):
                projections = (module.query, module.key, module.value)
                if module.key.in_features == module.query.in_features:
                    # The published model initializes these three as one (3 D, D) matrix.
                    for linear in projections:
                        nn.init.xavier_uniform_(linear.weight, gain=0.5**0.5)
                for linear in (*projections, module.output):
                    nn.init.zeros_(linear.bias)
            elif isinstance(module, BoxHead):
                module.reset_parameters()
        for module in self.modules():
            if isinstance(module, Conditioning):
                nn.init.zeros_(module.linear.weight)
                nn.init.zeros_(module.linear.bias)

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Save memory in training: compute the layers of the transformer again in the backward pass."""
        self.encoder.gradient_checkpointing = self.decoder.gradient_checkpointing = enabled

    @property
    def vocabulary(self) -> Vocabulary:
        """Names of object classes and predicates."""
        return self.config.vocabulary

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.projection.weight.device

    def forward(
        self, images: Tensor, sizes: Tensor | None = None, *, all_layers: bool | None = None
    ) -> RawOutput:
        """Run the network.

        Args:
            images: (B, 3, H, W) RGB in 0..255, uint8 or float, padded at the right and bottom.
            sizes: (B, 2) height and width of each image without its padding, preferably on the CPU; None if
                there is no padding.
            all_layers: return the outputs of all L decoder layers instead of those of the last one (L = 1);
                by default in training mode.

        Returns:
            Logits and boxes in float32.
        """
        if sizes is not None and not _is_padded(images, sizes):  # type: ignore[call-arg]
            sizes = None
        tokens, position, valid, grid = self._tokens(images, sizes)
        memory = self.encoder(tokens, position, valid)
        points = None
        if self.point_logits is not None:
            points = point_embedding(self.point_logits.sigmoid(), memory.shape[-1])
        subjects, objects, relations = self.decoder(Memory(memory, memory + position, valid), points)
        if not (self.training if all_layers is None else all_layers):
            subjects, objects, relations = subjects[-1:], objects[-1:], relations[-1:]
        output = self._outputs(subjects, objects, relations)
        if self.training and self.token_class is not None and self.token_box is not None:
            output.token_points = self._token_points(images, sizes, grid)
            output.token_logits = self.token_class(memory).float()
            output.token_boxes = self.token_box(
                memory, torch.logit(output.token_points.clamp(1e-3, 1 - 1e-3))
            )
        return output

    def _tokens(
        self, images: Tensor, sizes: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None, tuple[int, int]]:
        """Tokens (B, T, D), their position embedding (B, T, D), validity (B, T) or None, and (h, w)."""
        features = self.projection(self.backbone(self._normalize(images, sizes)))
        batch, dim, height, width = features.shape
        if sizes is None:
            cells = torch.tensor([[height, width]], device=images.device)
            valid = None
        else:
            limit = sizes.new_tensor([height, width])
            cells = torch.minimum((sizes + self.backbone.stride - 1) // self.backbone.stride, limit)
            cells = cells.to(images.device, non_blocking=True)
            valid = _inside(cells, height, width).flatten(1)
        position = grid_embedding(cells, height, width, dim).flatten(1, 2).to(features.dtype)
        tokens = features.flatten(2).transpose(1, 2)
        return tokens, position.expand(batch, -1, -1), valid, (height, width)

    def _token_points(self, images: Tensor, sizes: Tensor | None, grid: tuple[int, int]) -> Tensor:
        """Token centres (B, T, 2) as (x, y) in 0..1 of each image; beyond 1 in the padding."""
        rows, columns = grid
        y = (torch.arange(rows, device=images.device) + 0.5) * self.backbone.stride
        x = (torch.arange(columns, device=images.device) + 0.5) * self.backbone.stride
        points = torch.stack((x.expand(rows, -1), y[:, None].expand(-1, columns)), dim=-1).flatten(0, 1)
        limits = torch.tensor([images.shape[-2:]]) if sizes is None else sizes
        limits = limits.to(images.device, non_blocking=True)
        return (points / limits.flip(-1)[:, None]).expand(images.shape[0], -1, -1)

    def _normalize(self, images: Tensor, sizes: Tensor | None) -> Tensor:
        """Normalized pixels, 0 in the padding, in channels-last memory format."""
        if self.config.pixel_order == "BGR":
            images = images.flip(1)
        pixels = (images.to(self.pixel_mean.dtype) - self.pixel_mean) / self.pixel_std
        if sizes is not None:
            inside = _inside(sizes.to(images.device, non_blocking=True), *images.shape[-2:])
            pixels = pixels * inside[:, None]
        return pixels.contiguous(memory_format=torch.channels_last)

    def _outputs(self, subjects: Tensor, objects: Tensor, relations: Tensor) -> RawOutput:
        """Apply the heads to subject, object and predicate states of L layers."""
        heads = self.heads
        centres = relation_centres = self.point_logits
        if relation_centres is not None:
            relation_centres = relation_centres.repeat_interleave(self.config.query_multiplier, dim=0)
        return RawOutput(
            subject_logits=heads.entity_class(subjects).float(),
            object_logits=heads.entity_class(objects).float(),
            subject_boxes=heads.box(subjects, centres),
            object_boxes=heads.box(objects, centres),
            predicate_logits=heads.predicate_class(relations).float(),
            predicate_boxes=heads.box(relations, relation_centres),
        )


def _is_padded(images: Tensor, sizes: Tensor) -> bool:
    """Whether any image is smaller than its batch; see `SpeaqModel.forward` for the arguments."""
    return not bool((sizes == sizes.new_tensor(images.shape[-2:])).all())


def _inside(sizes: Tensor, height: int, width: int) -> Tensor:
    """(B, height, width) bool: within the first sizes[b] rows and columns; sizes is (B, 2)."""
    rows = torch.arange(height, device=sizes.device) < sizes[:, :1]
    columns = torch.arange(width, device=sizes.device) < sizes[:, 1:]
    return rows[:, :, None] & columns[:, None, :]


def _grid_logits(number: int) -> Tensor:
    """(number, 2) inverse sigmoids of points (x, y) spread evenly over the image."""
    columns = round(number**0.5)
    rows = -(-number // columns)
    index = torch.arange(number)
    row, column = index // columns, index % columns
    in_row = torch.full((number,), columns)
    in_row[row == rows - 1] = number - columns * (rows - 1)
    points = torch.stack(((column + 0.5) / in_row, (row + 0.5) / rows), dim=-1)
    return torch.logit(points)


def parameter_count(parameters: Iterable[nn.Parameter]) -> int:
    """Total number of elements of the parameters."""
    return sum(parameter.numel() for parameter in parameters)
