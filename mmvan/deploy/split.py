"""A detector whose backbone and neck run in a runtime, and whose heads run in PyTorch.

The heads find a varying number of objects by operators (RoIAlign, non-maximum suppression) that
the runtimes lack or compute differently. Backbone and neck are most of the work.
"""

import copy
from typing import Any

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from mmvan.deploy.runtimes import Runtime
from mmvan.errors import DeployError

# Done by the graph. The images stay as they are, and one is not padded to another.
_LEFT_TO_THE_GRAPH = {"mean": None, "std": None, "pad_size_divisor": 1}


class RuntimeFeatures(nn.Module):
    """The maps of backbone and neck, computed by a runtime.

    Args:
        runtime: An exported file with ``--part features``.
    """

    def __init__(self, runtime: Runtime) -> None:
        super().__init__()
        self.runtime = runtime

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map RGB images (N, 3, H, W), 0 to 255, to the neck's maps."""
        images = x.to(torch.uint8).numpy()
        return tuple(torch.from_numpy(array) for array in self.runtime.run(images))


def use_runtime(model: Any, runtime: Runtime) -> Any:
    """Let a runtime compute the features of a detector.

    Args:
        model: mmdet's detector, on the CPU, with ``cfg`` set as :func:`mmvan.get_model` and mmdet's
            ``init_detector`` do; it is left as it is.
        runtime: The file of the same model, with ``--part features``. With ``--dynamic`` it takes
            images of any size, one at a time.

    Returns:
        Any: A detector that predicts as before, for inference alone: with ``test_step`` and mmdet's
        inference functions.

    Raises:
        DeployError: The file holds something else.
    """
    contract = runtime.contract
    if (contract.task, contract.part) != ("detection", "features"):
        raise DeployError(
            f"{runtime.file} holds {contract.part} of a {contract.task} model; expected features "
            "of a detection model: tools/export.py ... --part features"
        )
    split = copy.deepcopy(model)
    split.backbone = RuntimeFeatures(runtime)
    split.neck = None
    settings = {**model.cfg.model.data_preprocessor, **_LEFT_TO_THE_GRAPH}
    # The graph takes red first, whatever the model takes.
    settings |= {"bgr_to_rgb": True, "rgb_to_bgr": False}
    with DefaultScope.overwrite_default_scope(contract.scope):
        split.data_preprocessor = MODELS.build(settings)
    return split.eval()
