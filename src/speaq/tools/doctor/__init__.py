"""The doctor of data sets: it finds everything that is wrong with one, and writes a repaired copy.

The readers of ``speaq.data`` report to it; training stops at their first error. The modules, in the order of
the data flow: ``sources`` (which data sets), ``image_files``, ``duplicates``, ``annotations`` and
``array_format`` (checks), ``valid_part`` (what is left without the errors), ``class_counts``, ``check`` (all of
one data set), ``mix`` (two data sets), ``report`` (for the terminal and as JSON), ``repair`` (the copy), and
``count_tables`` (``speaq data stats``).
"""
