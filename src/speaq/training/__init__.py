"""Training and evaluation runs.

`launch` has `train` and `evaluate`. They build the Lightning `trainer`, `module` and `data_module`, and the
`callbacks`. `cluster` chooses the devices; `processes` connects the processes of several devices.
"""
