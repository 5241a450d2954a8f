"""Names of what parts of configs build."""

import pytest
from mmengine.config import ConfigDict
from mmengine.hooks import EMAHook

from mmvan.type_name import type_name


class Getter:
    """A class with a method of the name of a dictionary's."""

    def get(self, one: int, other: int) -> int:
        raise AssertionError


@pytest.mark.parametrize(
    ("kind", "name"),
    (
        ("EMAHook", "EMAHook"),
        ("mmdet.EMAHook", "EMAHook"),
        (EMAHook, "EMAHook"),
        ({"type": EMAHook, "momentum": 0.1}, "EMAHook"),
        (ConfigDict(type="mmengine.EMAHook"), "EMAHook"),
        ({}, ""),
        (Getter, "Getter"),
    ),
)
def test_names_classes_and_settings(kind: object, name: str) -> None:
    assert type_name(kind) == name
