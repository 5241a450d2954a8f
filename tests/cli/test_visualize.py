"""Which images ``mmvan visualize`` takes."""

from argparse import Namespace
from pathlib import Path

import pytest

from mmvan.cli.visualize import _paths


@pytest.mark.parametrize(
    ("limit", "names"),
    (
        (3, ["cat/0.jpg", "cow/0.jpg", "dog/0.jpg"]),
        (4, ["cat/0.jpg", "cat/2.jpg", "cow/1.jpg", "dog/0.jpg"]),
        (20, [f"{kind}/{i}.jpg" for kind in ("cat", "cow", "dog") for i in range(3)]),
    ),
)
def test_a_few_images_are_of_all_class_folders(
    tmp_path: Path, limit: int, names: list[str]
) -> None:
    for kind in ("cat", "cow", "dog"):
        (tmp_path / kind).mkdir()
        for i in range(3):
            (tmp_path / kind / f"{i}.jpg").write_bytes(b"x")
    found = _paths(Namespace(limit=limit), [str(tmp_path)])
    assert [name for name, _ in found] == names
