"""Names of what parts of configs build."""

import pytest
from mmengine.config import ConfigDict
from mmengine.hooks import EMAHook

from mmvan.type_name import type_name


@pytest.mark.parametrize(
    ("kind", "name"),
    (
        ("EMAHook", "EMAHook"),
        ("mmdet.EMAHook", "EMAHook"),
        (EMAHook, "EMAHook"),
        ({"type": EMAHook, "momentum": 0.1}, "EMAHook"),
        (ConfigDict(type="mmengine.EMAHook"), "EMAHook"),
        ({}, ""),
    ),
)
def test_names_classes_and_settings(kind: object, name: str) -> None:
    assert type_name(kind) == name
