"""From files in Visual Genome format to padded batches with targets.

The data flow through these modules in this order: ``vg_files`` and ``vg_annotations`` (reading and checking
the files), ``visual_genome`` (one split, boxes in pixels), ``sources`` (the data sets of a name, one or a
mix), ``statistics`` (counts over a split), ``mixing`` (how many images of every source are in a batch),
``sampling`` and ``long_tail`` (which images, in which order), ``images`` (pixels), ``transforms``
(augmentation), ``targets`` (what the network should find), ``dataset`` (one draw), ``collate`` (batches), and
``build`` (all of it from the configuration). ``check`` finds everything wrong with a data set and repairs it,
``distribution`` compares how often classes occur, and ``generated`` draws data sets.
"""
