"""Mixed precision of the operators that PyTorch's autocast does not know."""

import torch
from torch import Tensor


def to_autocast_type(x: Tensor) -> Tensor:
    """Cast a map as autocast casts the input of a convolution; outside autocast, nothing.

    ``torch.library.register_autocast`` would need one type for all, fp16 or bf16.
    """
    device = x.device.type
    if torch.is_autocast_enabled(device) and x.dtype != torch.float64:
        return x.to(torch.get_autocast_dtype(device))
    return x
