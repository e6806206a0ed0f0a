"""Choose a device by name."""

import torch

from speaq.errors import SpeaqError


def find_device(name: str) -> torch.device:
    """The device ``name``: cpu, or an accelerator of this machine such as cuda, cuda:1 or mps.

    Raises:
        SpeaqError: this machine has no such device.
    """
    accelerator = torch.accelerator.current_accelerator()
    count = torch.accelerator.device_count()
    known = ["cpu"]
    if accelerator is not None and count:
        known += [accelerator.type, *(f"{accelerator.type}:{i}" for i in range(count))]
    if name not in known:
        raise SpeaqError(f"device {name}: this machine has {', '.join(known)}; use one of these")
    return torch.device(name)
