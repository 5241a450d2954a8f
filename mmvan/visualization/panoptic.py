"""Drawing panoptic segments on images."""

from typing import Any

from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from numpy.typing import NDArray

from mmvan.registry import VISUALIZERS

__all__ = ["PanopticVisualizer"]


@VISUALIZERS.register_module()
class PanopticVisualizer(DetLocalVisualizer):
    """mmdet's visualizer for images in which the model may find no segment.

    mmdet's own stops with "need at least one array to stack" at the first such image, which
    models at the beginning of their training are sure to have. Arguments are mmdet's.
    """

    def add_datasample(
        self,
        name: str,
        image: NDArray[Any],
        data_sample: DetDataSample | None = None,
        *arguments: Any,
        **options: Any,
    ) -> None:
        """Draw what a model predicts, or show the image alone where that is nothing.

        Args:
            name: What the image is called.
            image: RGB, shape (height, width, 3).
            data_sample: Prediction and truth; left unchanged.
            arguments: As in mmdet.
            options: As in mmdet.
        """
        if data_sample is not None and self._finds_nothing(data_sample):
            data_sample = data_sample.new()
            del data_sample.pred_panoptic_seg
        super().add_datasample(name, image, data_sample, *arguments, **options)

    def _finds_nothing(self, data_sample: DetDataSample) -> bool:
        if "pred_panoptic_seg" not in data_sample:
            return False
        nothing = len(self.dataset_meta["classes"])
        return bool((data_sample.pred_panoptic_seg.sem_seg == nothing).all())
