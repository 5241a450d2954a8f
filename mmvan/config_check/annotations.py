"""What a model learns from, and no transform loads."""

from collections.abc import Iterator, Mapping

from mmengine.config import Config

from mmvan.config_check.parts import is_known, parts_of
from mmvan.type_name import type_name


def annotation_problems(cfg: Config) -> Iterator[str]:
    """Finds a training pipeline without the masks that a head of a detector needs.

    Args:
        cfg: The whole config.

    Yields:
        One message.
    """
    roi_head = cfg.model.get("roi_head")
    if not isinstance(roi_head, Mapping) or not roi_head.get("mask_head"):
        return
    scope = cfg.default_scope
    parts = list(parts_of("train_dataloader", cfg.train_dataloader, scope))
    named = [part for part in parts if "type" in part.settings]
    if not all(is_known(part.settings["type"], part.scope) for part in named):
        return
    loading = [part for part in named if type_name(part.settings) == "LoadAnnotations"]
    if loading and not any(part.settings.get("with_mask") for part in parts):
        yield (
            f"{loading[0].key}.with_mask is {loading[0].settings.get('with_mask', False)!r}, but "
            "model.roi_head.mask_head learns from masks: set with_mask=True"
        )
