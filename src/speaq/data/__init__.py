"""From files in Visual Genome format to padded batches with targets.

The modules in the order of the data flow. Reading: ``findings`` and ``finding_kinds`` (what is wrong with a
data set), ``vg_json``, ``vg_dictionary``, ``vg_image_list``, ``vg_ranges``, ``vg_arrays``, ``vg_annotations``
(the files), ``visual_genome`` (one split, boxes in pixels), ``sources`` (the data sets of a name, one or a
mix) and ``statistics`` (counts over a split). Drawing: ``mixing`` (how many images of every source are in a
batch), ``sampling`` and ``long_tail`` (which images, in which order). Samples: ``transforms`` (augmentation),
``targets`` (the ground truth for the loss), ``dataset`` (one draw), ``collate`` (batches), and ``build`` (all
of it from the configuration). ``vg_writer`` writes data sets.
"""
