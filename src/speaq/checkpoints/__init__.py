"""Weights on disk.

`saved_models` reads and writes the folders of this project, `hub` those on the Hugging Face hub, `card` the
model card. `weights` initializes a model from other weights: `sources` resolves their address, `reading`
reads files without executing code, `names` translates names of tensors, `classes` and `detr` say what
differs. `convert` turns a published checkpoint into a saved model; `architecture` infers it from the shapes.
"""
