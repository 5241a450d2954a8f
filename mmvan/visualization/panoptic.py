"""Drawing panoptic segments on images."""

from typing import Any

from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from numpy.typing import NDArray

from mmvan.registry import VISUALIZERS

__all__ = ["PanopticVisualizer"]


@VISUALIZERS.register_module()
class PanopticVisualizer(DetLocalVisualizer):
    """mmdet's visualizer for panoptic models: draws segments alone, and images without any.

    mmdet's own also draws the instances of the same prediction, under the segments, and stops with
    "need at least one array to stack" at the first image without a segment, which models at the
    beginning of their training are sure to have. Arguments are mmdet's.
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
        if data_sample is not None and "pred_panoptic_seg" in data_sample:
            data_sample = self._only_segments(data_sample)
        super().add_datasample(name, image, data_sample, *arguments, **options)

    def _only_segments(self, data_sample: DetDataSample) -> DetDataSample:
        chosen = data_sample.new()
        if "pred_instances" in chosen:
            del chosen.pred_instances
        nothing = len(self.dataset_meta["classes"])
        if (chosen.pred_panoptic_seg.sem_seg == nothing).all():
            del chosen.pred_panoptic_seg
        return chosen
