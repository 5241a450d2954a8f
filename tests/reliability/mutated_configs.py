"""Mutates sound configs, and trains with each: it must run, or end with the key at fault.

``python tests/reliability/mutated_configs.py --count 500`` prints how many of each kind ended how.
"""

import argparse
import copy
import os
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from mmvan.cli import train
from mmvan.data.sample import prepare
from mmvan.errors import UserError
from mmvan.location import config_dir

SECONDS = 5.0
DIMS = [8, 16, 24, 32]
ARCH = {"embed_dims": DIMS, "depths": [1, 1, 1, 1], "ffn_ratios": [1, 1, 1, 1]}
# The parts of a config that a training uses.
PARTS = (
    "model",
    "train_dataloader",
    "val_dataloader",
    "val_evaluator",
    "optim_wrapper",
    "param_scheduler",
    "train_cfg",
    "default_hooks",
    "custom_hooks",
    "env_cfg",
    "auto_scale_lr",
    "randomness",
)


class Mutation(NamedTuple):
    """One change of a config.

    Args:
        kind: What was done.
        path: Keys and indices that lead to the place.
        value: What stands there now; DELETED for nothing.
    """

    kind: str
    path: tuple[Any, ...]
    value: Any

    @property
    def key(self) -> str:
        """The place as messages name it."""
        text = ""
        for part in self.path:
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
        return text


DELETED = "<deleted>"


def small_configs(root: Path) -> dict[str, dict[str, Any]]:
    """The sample configs of the three tasks, as small as they can be.

    Args:
        root: Where the sample data are made.
    """
    counts = {"cls": (2, 1), "det": (4, 2), "seg": (4, 2)}
    for task, count in counts.items():
        prepare(root / "data" / "sample", task, counts=count)
    return {"classification": _classifier(), "detection": _detector(), "segmentation": _segmentor()}


def _sample(name: str, **changes: Any) -> Config:
    cfg = Config.fromfile(config_dir() / f"{name}_sample.py")
    cfg.merge_from_dict(
        {
            "model.backbone.init_cfg": None,
            "train_dataloader.num_workers": 0,
            "train_dataloader.persistent_workers": False,
            "val_dataloader.num_workers": 0,
            "val_dataloader.persistent_workers": False,
            "default_hooks.logger.interval": 1,
            **changes,
        }
    )
    cfg.model.backbone.arch = ARCH
    return cfg


def _parts(cfg: Config) -> dict[str, Any]:
    plain = cfg.to_dict()
    names = (*PARTS, "default_scope", "val_cfg", "custom_imports", "visualizer")
    parts = {name: plain[name] for name in names if plain.get(name) is not None}
    return {**parts, "allow_empty_categories": True}


def _classifier() -> dict[str, Any]:
    cfg = _sample("classification/van_t_in1k", **{"model.head.in_channels": DIMS[-1]})
    cfg.merge_from_dict({"train_cfg.max_epochs": 1, "train_cfg.val_interval": 1})
    return _parts(cfg)


def _detector() -> dict[str, Any]:
    cfg = _sample("detection/van_t_maskrcnn")
    model = cfg.model
    model.neck.update(in_channels=DIMS, out_channels=16)
    model.rpn_head.update(in_channels=16, feat_channels=16)
    heads = model.roi_head
    heads.bbox_roi_extractor.out_channels = heads.mask_roi_extractor.out_channels = 16
    heads.bbox_head.update(in_channels=16, fc_out_channels=16)
    heads.mask_head.update(in_channels=16, conv_out_channels=16, num_convs=1)
    model.test_cfg.rcnn.max_per_img = 5
    cfg.merge_from_dict({"train_cfg.max_epochs": 1, "train_cfg.val_interval": 1})
    return _parts(cfg)


def _segmentor() -> dict[str, Any]:
    cfg = _sample("segmentation/van_t_fpn")
    cfg.model.neck.update(in_channels=DIMS, out_channels=16)
    cfg.model.decode_head.update(in_channels=[16] * 4, channels=16)
    cfg.merge_from_dict({"train_cfg.max_iters": 2, "train_cfg.val_interval": 2})
    return _parts(cfg)


def _places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    children: Any = ()
    if isinstance(node, Mapping):
        children = node.items()
    elif isinstance(node, list) and all(isinstance(child, dict) for child in node):
        children = enumerate(node)
    for name, child in children:
        yield (*path, name), child
        yield from _places(child, (*path, name))


def _typo(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text) - 1)
    return rng.choice(
        (
            text[:place] + text[place + 1 :],
            text[: place + 1] + text[place] + text[place + 1 :],
            text[:place] + text[place + 1] + text[place] + text[place + 2 :],
        )
    )


def _unknown_name(path: Any, value: Any, rng: random.Random) -> Mutation | None:
    if path[-1] != "type" or not isinstance(value, str):
        return None
    other = _typo(value, rng)
    return None if other == value else Mutation("unknown name", path, other)


def _misspelt_key(path: Any, value: Any, rng: random.Random) -> Mutation | None:
    name = path[-1]
    if not isinstance(name, str) or name == "type" or len(name) < 4:
        return None
    other = _typo(name, rng)
    return None if other == name else Mutation("misspelt key", (*path[:-1], other), (name, value))


def _missing_key(path: Any, value: Any, rng: random.Random) -> Mutation | None:
    return None if isinstance(path[-1], int) else Mutation("missing key", path, DELETED)


def _wrong_type(path: Any, value: Any, rng: random.Random) -> Mutation | None:
    choices = {
        bool: ("maybe", [1]),
        int: ("three", None, [1, 2]),
        float: ("a lot", None, {}),
        str: (17, None, ["a"]),
        list: (5, "list", None),
        tuple: (5, "tuple"),
        dict: ("dict", 3, []),
    }.get(type(value))
    return Mutation("wrong type", path, rng.choice(choices)) if choices else None


def _wrong_number(path: Any, value: Any, rng: random.Random) -> Mutation | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    large = () if str(path[-1]).startswith("max_") else (10**12,)  # which is long, not wrong
    return Mutation("wrong number", path, rng.choice((-3, -0.5, *large)))


def _wrong_path(path: Any, value: Any, rng: random.Random) -> Mutation | None:
    if not isinstance(value, str) or "/" not in value:
        return None
    return Mutation("wrong path", path, _typo(value, rng))


KINDS: tuple[Callable[..., Mutation | None], ...] = (
    _unknown_name,
    _misspelt_key,
    _missing_key,
    _wrong_type,
    _wrong_number,
    _wrong_path,
)


def mutations(config: Mapping[str, Any], count: int, seed: int) -> list[Mutation]:
    """Different changes of a config, as many of each kind as there are places for it."""
    rng = random.Random(seed)
    places = [(path, value) for path, value in _places(config) if path[0] in PARTS]
    found: dict[str, Mutation] = {}
    for attempt in range(100 * count):
        path, value = rng.choice(places)
        mutation = KINDS[attempt % len(KINDS)](path, value, rng)
        if mutation and mutation.value != value:
            found.setdefault(f"{mutation.kind} {mutation.key} {mutation.value}", mutation)
        if len(found) == count:
            break
    return list(found.values())


def apply(config: Mapping[str, Any], mutation: Mutation) -> dict[str, Any]:
    """The config with one change."""
    changed = copy.deepcopy(dict(config))
    node: Any = changed
    for part in mutation.path[:-1]:
        node = node[part]
    last = mutation.path[-1]
    if mutation.kind == "misspelt key":
        name, _ = mutation.value
        node[last] = node.pop(name)
    elif mutation.value == DELETED:
        del node[last]
    else:
        node[last] = mutation.value
    return changed


class Outcome(NamedTuple):
    """How a training with a mutated config ended.

    Args:
        end: ``trained``, ``refused`` with a message, or ``died`` by another exception.
        seconds: Until then.
        text: The message, or the traceback.
        names_key: Whether the message names the key.
    """

    end: str
    seconds: float
    text: str
    names_key: bool


def outcome(file: Path, mutation: Mutation) -> Outcome:
    """Train with a config file, and see how it ends."""
    start = time.perf_counter()
    try:
        train_with(file)
    except UserError as error:
        text, end = str(error), "refused"
    except Exception:  # noqa: BLE001  # Any of them is what is looked for.
        text, end = traceback.format_exc(), "died"
    else:
        text, end = "", "trained"
    names = [part for part in mutation.path if isinstance(part, str)]
    if mutation.kind == "misspelt key":
        names.append(mutation.value[0])
    # The key itself, or the part of the config that it belongs to.
    named = any(name in text for name in (names[1:] if len(names) > 2 else names))
    return Outcome(end, time.perf_counter() - start, text, named)


def run_all(root: Path, count: int, seed: int) -> Iterator[Any]:
    """Mutate the configs of all tasks in turn.

    Yields:
        The task, the mutation and its outcome.
    """
    configs = small_configs(root)
    for task, config in configs.items():
        Config(config).dump(root / f"{task}.py")
        train_with(root / f"{task}.py")
    share = -(-count // len(configs))
    planned = {task: mutations(config, share, seed) for task, config in configs.items()}
    for number in range(count):
        task = list(configs)[number % len(configs)]
        mutation = planned[task][number // len(configs)]
        file = root / f"{task}_{number}.py"
        Config(apply(configs[task], mutation)).dump(file)
        yield task, mutation, outcome(file, mutation)


def train_with(file: Path) -> None:
    """What ``tools/train.py`` does, without its handling of errors."""
    parser = argparse.ArgumentParser()
    train.add_options(parser)
    train.run(parser.parse_args([str(file), "--no-tune", "--seed", "0"]))


def main() -> None:
    """Print the counts, and every mutation that died or was not named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    slowest, faults = 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for task, mutation, result in run_all(Path(folder), args.count, args.seed):
            counts[mutation.kind, result.end] += 1
            if result.end == "refused":
                slowest = max(slowest, result.seconds)
            if result.end == "died" or (result.end == "refused" and not result.names_key):
                faults += 1
                change = f"{task}: {mutation.kind} {mutation.key} {str(mutation.value)[:80]!r}"
                print(f"{result.end.upper()} {change}\n{result.text[-1500:]}\n", flush=True)
    print(
        f"{sum(counts.values())} mutated configs, {faults} of them neither ran nor named the key; "
        f"the slowest refusal took {slowest:.1f} s"
    )
    for kind in sorted({kind for kind, _ in counts}):
        ends = {end: counts[kind, end] for end in ("refused", "trained", "died")}
        print(f"{kind:14}", *(f"{end} {number}" for end, number in ends.items()))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
