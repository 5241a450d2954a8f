"""mmcv's compiled operators in bfloat16, which most of them do not have on a GPU.

``"roi_align_forward_cuda_kernel" not implemented for 'BFloat16'`` would end a run in its first
step. mmcv's own alternative for RoIAlign is torchvision's, which autocast knows.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from mmvan.config_check.nodes import nodes_of
from mmvan.type_name import type_name


def use_torchvision_roi_align(model: Any) -> int:
    """Let every RoIAlign of a model be torchvision's, unless its settings say which it is.

    Args:
        model: ``model`` of a config, changed in place.

    Returns:
        int: How many were changed.
    """
    layers: list[Any] = [
        node.settings
        for node in nodes_of("model", model)
        if type_name(node.settings) == "RoIAlign" and "use_torchvision" not in node.settings
    ]
    for layer in layers:
        layer["use_torchvision"] = True
    return len(layers)


def bfloat16_problems(model: Any, scope: str, device: str) -> Iterator[str]:
    """Finds parts of a model whose operators cannot compute in bfloat16, by trying them.

    Args:
        model: ``model`` of a config.
        scope: Its library; only mmdet and mmseg have such parts.
        device: Where it will run.

    Yields:
        One message for each.
    """
    if scope not in ("mmdet", "mmseg"):
        return
    for node in nodes_of("model", model):
        kind = type_name(node.settings)
        if kind not in _TRIALS:
            continue
        try:
            _TRIALS[kind](torch.device(device))
        except RuntimeError as error:
            yield f"{node.key}: {kind} has no bfloat16 on this device: {str(error).splitlines()[0]}"


def _try_focal_loss(device: torch.device) -> None:
    from mmcv.ops import sigmoid_focal_loss

    scores = torch.zeros(2, 3, dtype=torch.bfloat16, device=device)
    labels = torch.zeros(2, dtype=torch.int64, device=device)
    sigmoid_focal_loss(scores, labels, 2.0, 0.25, None, "none")


def _try_deformable_attention(device: torch.device) -> None:
    from mmcv.ops import MultiScaleDeformableAttention

    attention = MultiScaleDeformableAttention(32, 1, 1, 1, batch_first=True)
    attention.to(device)
    features = torch.zeros(1, 4, 32, device=device)
    with torch.autocast(device.type, torch.bfloat16), torch.no_grad():
        attention(
            features,
            value=features,
            reference_points=torch.zeros(1, 4, 1, 2, device=device),
            spatial_shapes=torch.tensor([[2, 2]], device=device),
            level_start_index=torch.tensor([0], device=device),
        )


_TRIALS: Mapping[str, Callable[[torch.device], None]] = {
    "FocalLoss": _try_focal_loss,
    "MultiScaleDeformableAttention": _try_deformable_attention,
    "MSDeformAttnPixelDecoder": _try_deformable_attention,
}
