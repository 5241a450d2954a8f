"""The published recipes and results, and which of our configs each of them is for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.configs.zoo import ARCH_OF_SIZE, CONFIGS, REFERENCE, method_and_size

_FOLDER = CONFIGS.parent / "mmvan" / "leaderboard" / "published"
RECIPES = yaml.safe_load((_FOLDER / "recipes.yml").read_text())
RESULTS = yaml.safe_load((_FOLDER / "results.yml").read_text())
METHODS_1X = ("maskrcnn", "retinanet")
METHODS_3X = ("maskrcnn_3x", "cascade_maskrcnn_3x", "atss_3x", "gfl_3x")
PANOPTIC = "mask2former_panoptic"


def _of_coco(part: str) -> dict[str, Any]:
    """What is published for all of COCO, with one of the parts that are for some of it."""
    recipe = RECIPES["detection_coco"]
    others = {"schedule_1x", "schedule_3x", "mask2former_panoptic"} - {part}
    return {key: value for key, value in recipe.items() if key not in others}


ABLATIONS = [f"in1k_{name}" for name in RESULTS["ablations_b0"] if name != "kernel_sizes"] + [
    f"in1k_kernel{row['kernel']}"
    for row in RESULTS["ablations_b0"]["kernel_sizes"]
    if row["kernel"] != 21  # That of every other config.
]
# Methods that have another one's recipe.
VARIANTS = {
    **dict.fromkeys(ABLATIONS, "in1k"),
    "in22k_in1k_384": "in22k_in1k",
    "fpn_in22k": "fpn",
    "upernet_in22k": "upernet",
}
RECIPE = {
    "in22k_in1k": RECIPES["fine_tune_from_in22k"],
    "cub200": RECIPES["cub_200"],
    "in1k": RECIPES["classification_in1k"]["authors_train_script"],
    **dict.fromkeys(METHODS_1X, _of_coco("schedule_1x")),
    **dict.fromkeys(METHODS_3X, _of_coco("schedule_3x")),
    PANOPTIC: _of_coco("mask2former_panoptic"),
    "fpn": RECIPES["semantic_fpn_ade20k"],
    "upernet": RECIPES["upernet_ade20k"],
}


def recipe_of(path: Path) -> str:
    """The method whose recipe a config has, such as ``upernet`` for ``van_h_upernet_in22k``."""
    method, _ = method_and_size(path)
    return VARIANTS.get(method, method)


PUBLISHED = [path for path in REFERENCE if recipe_of(path) in RECIPE]


def configs_of(method: str) -> list[Path]:
    return [path for path in REFERENCE if recipe_of(path) == method]


def settings_of(path: Path) -> dict[str, Any]:
    """Every published setting of a config's recipe by its dotted name.

    What is published per arch is that of the config's arch, and is left out where there is none.
    """
    _, size = method_and_size(path)
    return dict(_settings(RECIPE[recipe_of(path)], "", ARCH_OF_SIZE[size]))


def _settings(node: Any, name: str, arch: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(node, dict):
        yield name.removeprefix("."), node
    elif set(node) <= set(ARCH_OF_SIZE.values()):
        if arch in node:
            yield from _settings(node[arch], name, arch)
    else:
        for key, child in node.items():
            yield from _settings(child, f"{name}.{key}", arch)
