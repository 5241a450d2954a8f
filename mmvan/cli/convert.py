"""Convert a checkpoint: ``mmvan convert SRC DST --to huggingface``."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmvan.checkpoint.convert import Converted, convert_state_dict
from mmvan.checkpoint.layouts import HUGGINGFACE, LAYOUTS
from mmvan.checkpoint.reading import read_checkpoint
from mmvan.checkpoint.schemes import locate
from mmvan.checkpoint.trust import trust_pickles
from mmvan.checkpoint.writing import ENDINGS, check_ending, write_checkpoint
from mmvan.errors import CheckpointError

DESCRIPTION = "Rename the weights of a checkpoint; its layout is recognised by itself."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("source", metavar="SRC", help="file, https:// or hf://owner/name address")
    add("destination", metavar="DST", type=Path, help=f"file to write: {' '.join(ENDINGS)}")
    add("--to", required=True, choices=[layout.name for layout in LAYOUTS], help="layout of DST")
    add("--key", help="entry of SRC that holds the weights, such as state_dict_ema")
    add("--backbone-only", action="store_true", help="leave out all but the backbone")
    add("--overwrite", action="store_true", help="replace DST if it is there")
    add("--unsafe", action="store_true", help="read SRC even if it can execute code")


def run(args: argparse.Namespace) -> None:
    """Convert, and say what was done."""
    if args.unsafe:
        trust_pickles()
    check_ending(args.destination)
    if args.destination.exists() and not args.overwrite:
        raise CheckpointError(f"DST {args.destination} exists; --overwrite replaces it")
    checkpoint = read_checkpoint(locate(args.source))
    weights = choose_weights(checkpoint, args.key)
    done = convert_state_dict(weights, args.to, backbone_only=args.backbone_only)
    meta = checkpoint.get("meta") or {}
    kept = {key: meta[key] for key in ("dataset_meta",) if key in meta}
    wrapped = args.to != HUGGINGFACE.name
    write_checkpoint(args.destination, done.state_dict, kept, wrapped=wrapped)
    if args.to == HUGGINGFACE.name:
        write_huggingface_config(args.destination.with_name("config.json"), done, args.overwrite)
    print(f"{args.destination}: {describe(done)} -> {args.to}")


def choose_weights(checkpoint: Mapping[str, Any], key: str | None) -> Mapping[str, Any]:
    """The state dict of a checkpoint, or another one that it holds."""
    if key is None:
        return checkpoint.get("state_dict", checkpoint)
    entries = [name for name, value in checkpoint.items() if isinstance(value, Mapping)]
    if key not in entries:
        raise CheckpointError(f"--key {key}: SRC has no such dict; it has {', '.join(entries)}")
    return checkpoint[key]


def write_huggingface_config(file: Path, done: Converted, overwrite: bool) -> None:
    """Write the description that transformers looks for beside the weights."""
    if file.exists() and not overwrite:
        print(f"{file} is there already and was left as it is")
        return
    classifier = done.num_classes is not None
    config = {
        "architectures": ["VanForImageClassification" if classifier else "VanModel"],
        "model_type": "van",
        "hidden_sizes": done.arch.embed_dims,
        "depths": done.arch.depths,
        "mlp_ratios": done.arch.ffn_ratios,
        **({"num_labels": done.num_classes} if classifier else {}),
    }
    file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def describe(done: Converted) -> str:
    """One line on what was converted."""
    notes = [f"{len(done.state_dict)} tensors", f"{done.source} layout"]
    if done.num_classes is not None:
        notes.append(f"{done.num_classes} classes")
    if done.num_added:
        notes.append(f"{done.num_added} unused ones of the target added")
    if done.num_dropped:
        notes.append(f"{done.num_dropped} entries of SRC left out")
    return ", ".join(notes)
