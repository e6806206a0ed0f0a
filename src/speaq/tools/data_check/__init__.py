"""The check of data sets (``speaq data check``): lists everything that is wrong and writes a repaired copy.

The readers of ``speaq.data`` report to it; training stops at their first error. The modules, in the order of
the data flow: ``sources`` (which data sets), ``images``, ``annotations`` and ``array_format`` (checks),
``valid_part`` (what is left without the errors), ``check`` (all of one data set), ``mix`` (two data sets),
``report`` (for the terminal and as JSON), ``repair`` (the copy), and ``counts`` (``speaq data stats``).
"""
