"""Drawing predictions and annotations on images, by the visualizer of the task's library."""

import colorsys
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import VISUALIZERS, DefaultScope
from numpy.typing import NDArray

from mmvan.engine.config import task_of

_KINDS = {
    "classification": "UniversalVisualizer",
    "detection": "DetLocalVisualizer",
    "segmentation": "SegLocalVisualizer",
}
_GOLDEN_RATIO = 0.618034  # Steps of it around the circle of hues stay far apart.


class Drawer:
    """Draws what a model predicts, or what a dataset says.

    Args:
        cfg: The config: its task, and its visualizer's settings.
        dataset_meta: Names (``classes``) and, optionally, colours (``palette``) of the classes.
        threshold: Boxes of a lower score are not drawn.
    """

    def __init__(self, cfg: Config, dataset_meta: dict[str, Any], threshold: float = 0.3) -> None:
        self.task = task_of(cfg)
        self.threshold = threshold
        own = {"type": _KINDS[self.task], **(cfg.get("visualizer") or {})}
        settings = {**own, "vis_backends": None, "save_dir": None, "name": "drawer"}
        with VISUALIZERS.switch_scope_and_registry(cfg.default_scope) as registry:
            kind = settings.pop("type")
            # The registry would give every drawer of a class the same one, with the last colours.
            self._visualizer = (registry.get(kind) if isinstance(kind, str) else kind)(**settings)
        self._scope = cfg.default_scope
        self._visualizer.dataset_meta = with_palette(dataset_meta)

    def draw(
        self, image: NDArray[np.uint8], sample: Any, *, truth: bool = False, prediction: bool = True
    ) -> NDArray[np.uint8]:
        """Draw on an image.

        Args:
            image: BGR, shape (height, width, 3); left unchanged.
            sample: The library's data sample, in the pixels of the image.
            truth: Draw the annotations in it; left of the prediction where both are drawn.
            prediction: Draw the predictions in it.

        Returns:
            NDArray[np.uint8]: BGR, of the same height.
        """
        rgb = np.ascontiguousarray(image[..., ::-1])
        chosen = {"draw_gt": truth, "draw_pred": prediction}
        if truth and "gt_instances" in sample:
            sample = _with_plain_boxes(sample)
        with DefaultScope.overwrite_default_scope(self._scope):
            if self.task == "classification":
                self._visualizer.visualize_cls(rgb, sample, **chosen)
            else:
                more = {"pred_score_thr": self.threshold} if self.task == "detection" else {}
                self._visualizer.add_datasample("image", rgb, sample, **chosen, **more)
        drawn = self._visualizer.get_image()
        return np.ascontiguousarray(drawn[..., ::-1])


def _with_plain_boxes(sample: Any) -> Any:
    """The annotations as arrays: mmdet's pipelines give boxes and masks that it cannot draw."""
    from mmdet.structures.bbox import get_box_tensor

    drawable = sample.new()
    instances = sample.gt_instances.new()
    if "bboxes" in instances:
        instances.bboxes = get_box_tensor(instances.bboxes)
    if "masks" in instances and hasattr(instances.masks, "to_ndarray"):
        instances.masks = instances.masks.to_ndarray().astype(bool)
    drawable.gt_instances = instances
    return drawable


def with_palette(dataset_meta: dict[str, Any]) -> dict[str, Any]:
    """The metadata with a colour for every class, where they lack some."""
    classes = dataset_meta.get("classes") or ()
    palette = dataset_meta.get("palette")
    if palette and not isinstance(palette, str) and len(palette) >= len(classes):
        return dict(dataset_meta)
    hues = [i * _GOLDEN_RATIO % 1 for i in range(len(classes))]
    colours = [tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue, 0.75, 0.95)) for hue in hues]
    return {**dataset_meta, "palette": colours}
