"""Build the post-processing from a configuration."""

from speaq.config import Config
from speaq.inference.postprocess import PostProcessor
from speaq.structures import Vocabulary


def build_postprocessor(config: Config, vocabulary: Vocabulary) -> PostProcessor:
    """The post-processing of a configuration: keys under TEST, and MODEL.ROI_HEADS.NMS_THRESH_TEST."""
    test = config.test
    return PostProcessor(
        num_rel=test.num_rel,
        nms_threshold=config.model.roi_heads.nms_thresh_test,
        pnms=test.pnms,
        pnms_threshold=test.relation.pnms_threshold,
        clip_boxes=test.clip_boxes,
        drop_self_relations=test.relation.drop_self,
        vocabulary=vocabulary,
    )
