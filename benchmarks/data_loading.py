"""How many images a second one core makes ready, in each recipe's pipelines, step by step.

    python benchmarks/run.py data_loading
    python benchmarks/data_loading.py --images ~/photographs   # your own; writes no table

Images are generated, of the size that is usual in the dataset, and read from the page cache.
Times are those of the processor, so that what else the machine computes hardly counts. The
difference is the mean one of the network's inputs from the baseline's, in grey levels; training on
reduced images has none, because crops are drawn in their pixels.
"""

import argparse
import copy
import math
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from images import annotate, write_images
from mmengine.registry import FUNCTIONS, TRANSFORMS, init_default_scope
from settings import Settings
from table import Measurement
from timing import Spread, say, spread, turns
from torch import Tensor

from mmvan.data.loading import LoadImage
from mmvan.engine.config import innermost_dataset, load_config, task_of
from mmvan.engine.errors import run_command
from mmvan.errors import ConfigError
from mmvan.leaderboard.published import load_results
from mmvan.zoo import config_dir

SUITE = "data_loading"
WHOLE, SPEED = "whole pipeline", "speed of a core"
LIBRARIES, RECIPE = "mmcv and mmpretrain", "recipe"
REDUCED, TURBOJPEG = "recipe, short_side=448", "recipe, decoder=turbojpeg"
FORMS = (LIBRARIES, RECIPE, REDUCED, TURBOJPEG)
SPLITS = {"training": "train_dataloader", "test": "test_dataloader"}
# The arguments that turn our steps into those of the libraries.
_IN_LIBRARIES = {
    "mmvan.LoadImage": {"type": "LoadImageFromFile", "imdecode_backend": "pillow"},
    "mmvan.RandomResizedCrop": {"type": "RandomResizedCrop"},
}
_COLLATE = {"classification": "default_collate"}  # As tools/train.py sets it.
_REPEATS = 7
# Backward costs twice as much as forward (Kaplan et al. 2020, arXiv 2001.08361, section 2.1).
_TRAINING_COST = 3


@dataclass(frozen=True)
class Case:
    """A recipe on images of one size.

    Args:
        config: Of the recipe, below the folder of configs.
        images: What they are like.
        size: Width and height in pixels.
        count: How many there are.
        beside_gpus: Whether to tell how many cores GPUs of published speed need.
    """

    config: str
    content: str
    size: tuple[int, int]
    count: int = 16
    beside_gpus: bool = False

    @property
    def recipe(self) -> str:
        """The name of the recipe."""
        return Path(self.config).stem

    def __str__(self) -> str:
        return f"{self.recipe}, {self.content}"


_IMAGENET = ("500 x 375 as in ImageNet", (500, 375))
_COCO = ("640 x 480 as in COCO", (640, 480))
_ADE = ("683 x 512 as in ADE20K", (683, 512))
_TELEPHONE = ("4000 x 3000 as of a telephone", (4000, 3000))
CASES = (
    Case("classification/van_b_in1k.py", *_IMAGENET, beside_gpus=True),
    Case("classification/van_b_in1k.py", *_TELEPHONE, count=2),
    Case("classification/van_h_in22k_in1k_384.py", *_IMAGENET),
    Case("detection/van_b_maskrcnn.py", *_COCO),
    Case("detection/van_b_maskrcnn_3x.py", *_COCO),
    Case("detection/van_b_mask2former_panoptic.py", *_COCO),
    Case("segmentation/van_b_fpn.py", *_ADE),
    Case("segmentation/van_b_upernet.py", *_ADE),
)


@dataclass(frozen=True)
class Result:
    """Milliseconds per image of the steps of a pipeline, and what it gave to the network."""

    times: Mapping[str, Spread]
    inputs: Sequence[Tensor]


class Loader:
    """A pipeline and its collate function, with a clock for each step."""

    def __init__(self, pipeline: Any, task: str, samples: Sequence[dict[str, Any]]) -> None:
        self.steps = [TRANSFORMS.build(step) for step in pipeline]
        self.collate = FUNCTIONS.get(_COLLATE.get(task, "pseudo_collate"))
        self.samples = samples

    def run(self, turn: int) -> tuple[dict[str, float], list[Tensor]]:
        """Milliseconds per image of each step and of all, and the inputs of the network."""
        # In each turn all loaders draw the same crops and augmentations: those differ in cost.
        random.seed(turn)
        np.random.seed(turn)
        times: dict[str, float] = {}
        ready = [self._run_one(sample, times) for sample in copy.deepcopy(self.samples)]
        _clock("collate", times, partial(self.collate, ready))
        times[WHOLE] = sum(times.values())
        per_image = {name: 1e3 * seconds / len(ready) for name, seconds in times.items()}
        return per_image, [image["inputs"] for image in ready]

    def _run_one(self, results: Any, times: dict[str, float]) -> Any:
        for number, step in enumerate(self.steps, start=1):
            name = f"{number} {type(step).__name__}"
            results = _clock(name, times, partial(step, results))
        return results


def _clock(name: str, times: dict[str, float], compute: Callable[[], Any]) -> Any:
    start = time.process_time()
    result = compute()
    times[name] = times.get(name, 0.0) + time.process_time() - start
    return result


def measure(settings: Settings) -> Iterator[list[Measurement]]:
    """All recipes, each on one core whatever the settings say: a worker has no more."""
    chosen = available(settings.choose(FORMS, RECIPE))
    repeats = settings.repeat(_REPEATS)
    for case, of_case in settings.share(
        [_tiny(case) if settings.quick else case for case in CASES]
    ):
        with tempfile.TemporaryDirectory() as folder:
            files = write_images(Path(folder), case.count, *case.size)
            yield measure_case(case, files, Path(folder), chosen, repeats, of_case.end)


def _tiny(case: Case) -> Case:
    return replace(case, content=f"96 x 72 for {case.content}", size=(96, 72), count=2)


def available(forms: Sequence[str]) -> list[str]:
    """The forms that can run here; says which one cannot, and why."""
    try:
        LoadImage(decoder="turbojpeg")
    except ConfigError as error:
        say(f"{TURBOJPEG} is left out: {error}")
        return [form for form in forms if form != TURBOJPEG]
    return list(forms)


def measure_case(
    case: Case,
    files: Sequence[Path],
    folder: Path,
    chosen: Sequence[str],
    repeats: int,
    end: float = math.inf,
) -> list[Measurement]:
    """A recipe's pipelines for training and for tests.

    Args:
        case: The recipe.
        files: What its pipelines read.
        folder: For the annotations that they read too.
        chosen: The forms to measure.
        repeats: How often.
        end: When to stop repeating, by ``time.perf_counter()``.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    cfg = load_config(str(config_dir() / case.config), None, list(SPLITS.values()))
    init_default_scope(cfg.default_scope)
    task = "panoptic" if "panoptic" in case.recipe else task_of(cfg)
    samples = [annotate(task, path, folder) for path in files]
    rows = []
    for split, key in SPLITS.items():
        forms = _forms(innermost_dataset(cfg[key]).pipeline, task)
        loaders = {name: Loader(forms[name], task, samples) for name in chosen if name in forms}
        rows += _rows(case, split, _take_turns(loaders, repeats, end))
    return rows


def _forms(pipeline: Any, task: str) -> dict[str, Any]:
    """A recipe's pipeline, and of a classifier the ones to compare it with."""
    if task != "classification":
        return {RECIPE: pipeline}
    loading, *others = pipeline
    return {
        LIBRARIES: _as_in_libraries(pipeline),
        RECIPE: pipeline,
        REDUCED: [{**loading, "short_side": 448}, *others],
        TURBOJPEG: [{**loading, "decoder": "turbojpeg"}, *others],
    }


def _as_in_libraries(node: Any) -> Any:
    """Part of a pipeline, with transforms of mmcv and mmpretrain in the places of ours."""
    if isinstance(node, list):
        return [_as_in_libraries(part) for part in node]
    if not isinstance(node, dict):
        return node
    step = {key: _as_in_libraries(value) for key, value in node.items()}
    return step | _IN_LIBRARIES.get(str(step.get("type")), {})


def _take_turns(loaders: Mapping[str, Loader], repeats: int, end: float) -> dict[str, Result]:
    """Run each loader once before it counts, then one after the other again and again."""
    inputs = {name: loader.run(0)[1] for name, loader in loaders.items()}
    measured = [
        {name: loader.run(turn)[0] for name, loader in loaders.items()}
        for turn in turns(repeats, end)
    ]
    return {
        name: Result(
            {step: spread([times[name][step] for times in measured]) for step in measured[0][name]},
            inputs[name],
        )
        for name in loaders
    }


def _rows(case: Case, split: str, results: Mapping[str, Result]) -> list[Measurement]:
    common: dict[str, Any] = {
        "suite": SUITE,
        "case": f"{case.recipe}, {split}, {case.content}",
        "arch": case.recipe,
        "batch": case.count,
        "size": 0,
        "dtype": "uint8",
        "layout": "channels_last",
    }
    baseline = results.get(LIBRARIES, results[RECIPE])
    rows = []
    for form, result in results.items():
        whole = result.times[WHOLE]
        compared: dict[str, Any] = {
            "ratio": baseline.times[WHOLE].median / whole.median,
            "difference": None
            if (form, split) == (REDUCED, "training")
            else _difference(result.inputs, baseline.inputs),
        }
        rows += [
            Measurement(
                form=form,
                metric=metric,
                unit=unit,
                **asdict(value),
                **common,
                **(compared if metric in (WHOLE, SPEED) else {}),
            )
            for metric, unit, value in _values(case, form, split, result.times)
        ]
    return rows


def _values(
    case: Case, form: str, split: str, times: Mapping[str, Spread]
) -> list[tuple[str, str, Spread]]:
    """Metrics with their units."""
    values = [(step, "ms per image", value) for step, value in times.items()]
    values.append((SPEED, "images/s", _speed(times[WHOLE])))
    if form == RECIPE and case.beside_gpus:
        values += [
            (
                f"to feed a GPU at {demand:.0f} images/s",
                "cores",
                _scaled(times[WHOLE], demand / 1e3),
            )
            for demand in _demands(split)
        ]
    return values


def _speed(time_per_image: Spread) -> Spread:
    values = asdict(time_per_image)
    inverse = {"median": "median", "p20": "p80", "p80": "p20"}
    return replace(time_per_image, **{key: 1e3 / values[of] for key, of in inverse.items()})


def _scaled(value: Spread, factor: float) -> Spread:
    return replace(
        value, median=value.median * factor, p20=value.p20 * factor, p80=value.p80 * factor
    )


def _demands(split: str) -> list[float]:
    """Images per second that an RTX 3090 takes of B0 to B4, as published, or a third of them."""
    published = [row.figures.get("throughput_rtx3090") for row in load_results()]
    cost = _TRAINING_COST if split == "training" else 1
    return [float(figure) / cost for figure in published if figure is not None]


def _difference(inputs: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    pairs = zip(inputs, expected, strict=True)
    return float(np.mean([(a.float() - b.float()).abs().mean().item() for a, b in pairs]))


def main() -> None:
    """Measure classification on the user's own images and print it.

    Raises:
        ConfigError: The folder has no JPEG files.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of JPEG files")
    parser.add_argument("--repeats", type=int, default=_REPEATS)
    args = parser.parse_args()
    files = sorted(args.images.glob("*.jp*g"))[:64]
    if not files:
        raise ConfigError(f"--images {args.images}: expected JPEG files (*.jpg, *.jpeg) in it")
    case = replace(CASES[0], content=f"{len(files)} of {args.images}", count=len(files))
    for row in measure_case(case, files, args.images, available(FORMS), args.repeats):
        ratio = f" ({row.ratio:.2f} of {LIBRARIES})" if row.ratio else ""
        print(f"{row.case}: {row.form}: {row.metric}: {row.median:.2f} {row.unit}{ratio}")


if __name__ == "__main__":
    run_command(main)
