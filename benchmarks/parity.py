"""Our VAN beside the implementations of others, with the same weights, in every layout.

    python benchmarks/parity.py --out benchmarks/parity.csv

For each layout and arch, a classifier of mmpretrain or transformers gets random weights. They are
written down in the layout, loaded into our classifier by `load_state_dict`, and both models compute
the same thing. A state dict in the authors' names, or in those of mmsegmentation's project, is also
given to mmpretrain's own converter, which has to return the weights of mmpretrain's model.
"""

import argparse
import contextlib
import csv
import functools
import runpy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import mmpretrain
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn
from transformers import VanConfig, VanForImageClassification
from transformers.modeling_utils import no_init_weights

from mmvan.arch import ARCHS
from mmvan.checkpoint.convert import convert_state_dict
from mmvan.checkpoint.layouts import (
    HUGGINGFACE,
    LAYOUTS,
    MMPRETRAIN,
    MMSEG,
    MMVAN,
    OFFICIAL,
    Layout,
)
from mmvan.checkpoint.loading import misfits

CLASSIFIER = Path(__file__).parents[1] / "configs/_base_/models/van_classifier.py"
ALL_STAGES = (0, 1, 2, 3)
# Odd sizes, and batches that leave BatchNorm 12 values or more in the last stage: the statistics of
# fewer are so ill-conditioned that they make rounding noise visible.
SHAPES = ((4, 3, 33, 38), (2, 3, 47, 65))
MODES = ("train", "eval")
_NAMED = {"b0": "tiny", "b1": "small", "b2": "base", "b3": "large"}  # Archs that mmpretrain has.
# A bias before BatchNorm has no gradient but rounding noise: the error of a gradient is taken
# relative to its norm plus this share of the largest gradient's norm.
_NOISE = 1e-3


class Outputs(NamedTuple):
    """What a classifier computes.

    Args:
        stages: Four maps of shape (N, C_i, H_i, W_i).
        logits: (N, classes).
    """

    stages: tuple[Tensor, ...]
    logits: Tensor


class Results(NamedTuple):
    """One forward and backward pass.

    Args:
        outputs: The stages' maps and the logits.
        buffers: BatchNorm's running statistics after the pass, by the names of our classifier.
    """

    outputs: Outputs
    buffers: Mapping[str, Tensor]


@dataclass(frozen=True)
class Peer:
    """A foreign implementation.

    Args:
        package: The distribution that it is from.
        layout: Its names.
        eps: Of its LayerNorm.
        build: Make its classifier of an arch.
        run: Compute images of shape (N, 3, H, W).
    """

    package: str
    layout: Layout
    eps: float
    build: Callable[[str], nn.Module]
    run: Callable[[nn.Module, Tensor], Outputs]


def _classifier(backbone: dict[str, Any], arch: str) -> nn.Module:
    """The project's classifier around a backbone."""
    config = Config.fromfile(CLASSIFIER).model
    head = {**config.head, "in_channels": ARCHS[arch].embed_dims[-1]}
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        return MODELS.build({**config, "backbone": backbone, "head": head})


def _build_ours(arch: str, eps: float) -> nn.Module:
    """Our classifier with the LayerNorm eps of a peer."""
    out_norm_cfg = {"type": "LN", "eps": eps}
    return _classifier({"type": "mmvan.VAN", "arch": arch, "out_norm_cfg": out_norm_cfg}, arch)


def _build_mmpretrain(arch: str) -> nn.Module:
    settings = {key: list(value) for key, value in vars(ARCHS[arch]).items()}
    backbone = {"type": "VAN", "arch": _NAMED.get(arch, settings), "out_indices": ALL_STAGES}
    return _classifier(backbone, arch)


def _build_transformers(arch: str) -> nn.Module:
    sizes = ARCHS[arch]
    return VanForImageClassification(
        VanConfig(
            hidden_sizes=list(sizes.embed_dims),
            depths=list(sizes.depths),
            mlp_ratios=list(sizes.ffn_ratios),
            num_labels=1000,
        )
    )


def _run_mm(model: Any, x: Tensor) -> Outputs:
    """Compute with a classifier of mmpretrain, ours included."""
    stages = model.backbone(x)
    return Outputs(stages, model.head(model.neck(stages)))


def _run_transformers(model: Any, x: Tensor) -> Outputs:
    result = model(x, output_hidden_states=True)
    return Outputs(result.hidden_states, result.logits)


# mmpretrain's LayerNorm has PyTorch's default eps; transformers took the authors'.
PEERS = (
    Peer("mmpretrain", MMPRETRAIN, 1e-5, _build_mmpretrain, _run_mm),
    Peer("transformers", HUGGINGFACE, 1e-6, _build_transformers, _run_transformers),
)


def own_name(layout: Layout, name: str) -> str | None:
    """The name in our classifier of a tensor in a layout's classifier; None if we lack it."""
    head, _, leaf = name.rpartition(".")
    if head == layout.head:
        return f"{MMVAN.head}.{leaf}"
    own = layout.own_key(name.removeprefix(layout.prefix))
    return own and MMVAN.prefix + own


@torch.no_grad()
def randomise(model: nn.Module, layout: Layout) -> None:
    """Fill a classifier, also what a fresh one has at 0 or 1: scales, statistics and biases."""
    for name, tensor in model.state_dict().items():
        own = own_name(layout, name) or name
        if tensor.dim() > 1:  # As PyTorch initialises convolutions.
            bound = tensor[0].numel() ** -0.5
            tensor.uniform_(-bound, bound)
        elif "layer_scale" in own:
            tensor.normal_(0.02, 0.01)
        elif own.endswith(("running_var", "weight")):
            tensor.uniform_(0.5, 1.5)
        elif own.endswith(("running_mean", "bias")):
            tensor.normal_(0, 0.1)


def build_pair(peer: Peer, arch: str, layout: Layout) -> tuple[nn.Module, nn.Module, int]:
    """Our classifier and a peer's with the same random weights, which ours gets in a layout.

    Returns:
        tuple[nn.Module, nn.Module, int]: Ours, the peer's, and the number of tensors mapped.

    Raises:
        ValueError: If mmpretrain's converter reads other weights from the layout, or ours has
            tensors that are not in it.
    """
    torch.manual_seed(0)
    with no_init_weights():  # Every tensor gets its values below.
        theirs = peer.build(arch)
        ours = _build_ours(arch, peer.eps)
    randomise(theirs, peer.layout)
    weights = theirs.state_dict()
    file = weights
    if layout is not peer.layout:
        file = convert_state_dict(weights, layout.name).state_dict
    if layout in (OFFICIAL, MMSEG):
        _check_by_converter(file, weights)
    adapted = dict(file)
    problems = misfits(ours, adapted)
    if problems:
        raise ValueError(f"{layout.name}: {'; '.join(problems)}")
    ours.load_state_dict(adapted)
    return ours, theirs, sum(own_name(layout, name) is not None for name in file)


def _check_by_converter(file: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    (folder,) = mmpretrain.__path__
    script = Path(folder, ".mim", "tools", "model_converters", "van2mmpretrain.py")
    converted = runpy.run_path(str(script))["convert_van"](file)
    if converted.keys() != weights.keys():
        differing = sorted(converted.keys() ^ weights.keys())
        raise ValueError(f"{script.name} gives other names than mmpretrain's VAN: {differing[:8]}")
    changed = [name for name in weights if not torch.equal(converted[name], weights[name])]
    if changed:
        raise ValueError(f"{script.name} gives other tensors for {changed[:8]}")


def run_pair(
    peer: Peer, ours: nn.Module, theirs: nn.Module, mode: str, x: Tensor
) -> tuple[Results, Results, dict[str, float]]:
    """Run both classifiers on images of shape (N, 3, H, W) in ``train`` or ``eval`` mode.

    Returns:
        tuple[Results, Results, dict[str, float]]: Ours, the peer's, and the relative error of the
        gradient of each parameter that the peer shares with us, see ``_NOISE``, by our names.
    """
    ours.train(mode == "train")
    theirs.train(mode == "train")
    got = _compute(ours, MMVAN, _run_mm, x)
    with _comparing_gradients(ours, theirs, peer.layout) as norms:
        expected = _compute(theirs, peer.layout, peer.run, x)
    largest = max(norm for _, norm in norms.values())
    errors = {
        name: difference / (norm + _NOISE * largest) for name, (difference, norm) in norms.items()
    }
    return got, expected, errors


@contextlib.contextmanager
def _comparing_gradients(
    ours: nn.Module, theirs: nn.Module, layout: Layout
) -> Iterator[dict[str, tuple[float, float]]]:
    """Compare the gradients of a peer with ours as it gets them, and free both.

    All together are as large as the models.

    Yields:
        dict[str, tuple[float, float]]: The norms of the difference and of the peer's gradient, by
        our names; filled by the peer's backward pass.
    """
    own = dict(ours.named_parameters())
    norms = {}

    def compare(name: str, parameter: Tensor) -> None:
        mine, its = own[name].grad, parameter.grad
        if mine is None or its is None:
            raise ValueError(f"{name}: only the peer has a gradient")
        norms[name] = (float((mine - its).norm()), float(its.norm()))
        own[name].grad = parameter.grad = None

    handles = [
        parameter.register_post_accumulate_grad_hook(functools.partial(compare, name))
        for key, parameter in theirs.named_parameters()
        if (name := own_name(layout, key))
    ]
    yield norms
    for handle in handles:
        handle.remove()


def _compute(
    model: nn.Module, layout: Layout, run: Callable[[nn.Module, Tensor], Outputs], x: Tensor
) -> Results:
    model.zero_grad()
    outputs = run(model, x)
    weights = [torch.linspace(-1, 1, out.shape[1]).view(-1, 1, 1) for out in outputs.stages]
    loss = outputs.logits.square().mean()
    for out, weight in zip(outputs.stages, weights, strict=True):
        loss = loss + (out * weight).square().mean()
    loss.backward()
    buffers = {
        own: buffer.clone()
        for name, buffer in model.named_buffers()
        if (own := own_name(layout, name))
    }
    detached = Outputs(tuple(out.detach() for out in outputs.stages), outputs.logits.detach())
    return Results(detached, buffers)


def compare(peer: Peer, arch: str, layout: Layout) -> list[dict[str, object]]:
    """One row of the table per mode: the largest differences over all sizes."""
    ours, theirs, mapped = build_pair(peer, arch, layout)
    images = [torch.randn(shape) for shape in SHAPES]
    rows: list[dict[str, object]] = []
    for mode in MODES:
        differences = [_differences(*run_pair(peer, ours, theirs, mode, x)) for x in images]
        largest = {name: max(row[name] for row in differences) for name in differences[0]}
        rows.append(
            {
                "layout": layout.name,
                "arch": arch,
                "mode": mode,
                "tensors_mapped": mapped,
                **{name: f"{value:.1e}" for name, value in largest.items()},
                "peer": f"{peer.package} {version(peer.package)}",
                "eps": peer.eps,
                "shapes": " ".join("x".join(map(str, shape)) for shape in SHAPES),
                "torch": torch.__version__,
            }
        )
    return rows


def _differences(ours: Results, theirs: Results, errors: dict[str, float]) -> dict[str, float]:
    pairs = list(zip(ours.outputs.stages, theirs.outputs.stages, strict=True))
    return {
        "stages_max_abs": max(float((a - b).abs().max()) for a, b in pairs),
        # What has to stay below 1e-5: absolute for small values, relative for large ones.
        "stages_max_error": max(float(((a - b).abs() / (1 + b.abs())).max()) for a, b in pairs),
        "logits_max_abs": float((ours.outputs.logits - theirs.outputs.logits).abs().max()),
        "gradients_max_rel": max(errors.values()),
    }


def main() -> None:
    """Compare, print and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, help="CSV to write")
    parser.add_argument("--archs", nargs="+", choices=ARCHS, default=list(ARCHS))
    args = parser.parse_args()
    rows = []
    for layout in LAYOUTS:
        peer = PEERS[layout is HUGGINGFACE]
        for arch in args.archs:
            rows += compare(peer, arch, layout)
            print(*rows[-2:], sep="\n", flush=True)
    if args.out:
        with args.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
