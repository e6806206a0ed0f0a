"""From files in Visual Genome format to padded batches with targets.

The data flow through these modules in this order: ``vg_files`` and ``vg_annotations`` (reading and checking
the files), ``visual_genome`` (one split, boxes in pixels), ``statistics`` (counts over a split), ``sampling``
and ``long_tail`` (which images, in which order), ``images`` (pixels), ``transforms`` (augmentation),
``targets`` (what the network should find), ``dataset`` (one draw), ``collate`` (batches), and ``build`` (all
of it from the configuration).
"""
