"""Steps of data pipelines that the task libraries lack."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmvan.data.panoptic import read_ids
from mmvan.registry import TRANSFORMS

# What mmdet leaves out of its losses.
_IGNORED = 255


@TRANSFORMS.register_module()
class LoadPanopticMasks(BaseTransform):
    """Loads masks of things and a map of labels from a COCO panoptic PNG.

    It follows mmdet's ``LoadAnnotations`` with boxes. The two together are mmdet's
    ``LoadPanopticAnnotations``, which needs panopticapi, a package that no index has.

    Required keys: ``seg_map_path`` and ``segments_info``, the ``id``, ``category`` (a label from 0)
    and ``is_thing`` of each segment, as mmdet's ``CocoPanopticDataset`` gives them; crowds are no
    things there.

    Added keys: ``gt_masks``, the things in their order, and ``gt_seg_map`` (height, width) of
    uint8, with 255 where no segment is.

    Args:
        backend_args: Where MMEngine finds files that are not on a local disk.
    """

    def __init__(self, backend_args: dict[str, Any] | None = None) -> None:
        self.backend_args = backend_args

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Adds masks and map to the results of an image; nothing where no annotation is named."""
        if not results.get("seg_map_path"):
            return results
        # Here, because the other tasks' pipelines find their steps without mmdet.
        from mmdet.structures.mask import BitmapMasks

        ids = read_ids(results["seg_map_path"], self.backend_args)
        segments = results["segments_info"]
        labels = np.full(ids.shape, _IGNORED, np.uint8)
        for segment in segments:
            labels[ids == segment["id"]] = segment["category"]
        things = [(ids == s["id"]).astype(np.uint8) for s in segments if s["is_thing"]]
        return {**results, "gt_masks": BitmapMasks(things, *ids.shape), "gt_seg_map": labels}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(backend_args={self.backend_args})"
