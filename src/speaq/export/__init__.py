"""Export models as ONNX files and torch.export programs, and predict with ONNX files without torch.

``network`` traces the model, ``files`` writes the files with their ``description``, ``parity`` and ``recall``
compare them with the model, ``predictor`` (which needs no torch) predicts with them.
"""

from speaq.export.predictor import OnnxPredictor, OpenVinoPredictor

__all__ = ["OnnxPredictor", "OpenVinoPredictor"]
