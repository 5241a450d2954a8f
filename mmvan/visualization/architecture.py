"""A table of a model's layers: shapes, parameters and FLOPs for an input size."""

import csv
import logging
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from mmengine.analysis import FlopAnalyzer
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmvan.inference.model import build_model
from mmvan.type_name import type_name
from mmvan.visualization.figures import new_figure

COLUMNS = ("layer", "type", "output", "params", "FLOPs")


@dataclass(frozen=True)
class Layer:
    """A row of the table.

    Args:
        name: Of the module in its model.
        kind: Its class.
        output: Shapes of what it gives, without the batch.
        params: Number of its parameters.
        flops: Multiply-accumulates for one image by MMEngine's ``FlopAnalyzer``.
    """

    name: str
    kind: str
    output: str
    params: int
    flops: int


class Network(nn.Module):
    """The parts of a model whose cost depends on shapes alone, under their own names.

    These are the backbone and, where there is one, the neck; and the head of a classifier or a
    segmentor. A detector's heads are left out: how many boxes they work on depends on the image.

    Args:
        model: The library's model.
        with_head: Whether the head is one of the parts.
    """

    def __init__(self, model: nn.Module, with_head: bool) -> None:
        super().__init__()
        self._with_head = with_head
        for name in ("backbone", "neck", *(("head", "decode_head") if with_head else ())):
            part = getattr(model, name, None)
            if isinstance(part, nn.Module):
                self.add_module(name, part)

    def forward(self, x: Tensor) -> Any:
        """Map (1, 3, H, W) to what the last part gives."""
        out: Any = x
        for part in self.children():
            out = part(out)
        return out


def list_layers(cfg: Config, size: tuple[int, int], depth: int = 4) -> list[Layer]:
    """The layers of a config's model.

    Args:
        cfg: The config.
        size: Height and width of the input, in pixels.
        depth: Levels of modules; 1 is the whole.

    Returns:
        list[Layer]: In the order of the model; a module stands before its parts.
    """
    # Mask2Former's head samples points; its tracing says nothing that shapes alone decide.
    masks = "Mask2Former" in type_name(cfg.model.get("decode_head", {}))
    with_head = cfg.default_scope != "mmdet" and not masks
    network = Network(build_model(cfg, None, "cpu"), with_head).eval()
    image = torch.zeros(1, 3, *size)
    names = {n: m for n, m in network.named_modules() if n.count(".") < depth - 1 or not n}
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        shapes = _shapes(names, lambda: network(image))
        flops = _flops(network, image)
    return [
        Layer(
            name or "(all)",
            type(module).__name__ if name else ", ".join(n for n, _ in network.named_children()),
            shapes.get(name, ""),
            sum(p.numel() for p in module.parameters()),
            int(flops.get(name, 0)),
        )
        for name, module in names.items()
    ]


def as_text(layers: Sequence[Layer]) -> str:
    """The table in columns."""
    rows = [COLUMNS, *(_cells(layer) for layer in layers)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    left = (True, True, True, False, False)
    lines = [
        "  ".join(
            cell.ljust(width) if is_left else cell.rjust(width)
            for cell, width, is_left in zip(row, widths, left, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def write_csv(layers: Sequence[Layer], out: Path) -> None:
    """Write the table with full numbers."""
    with out.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(astuple(layer) for layer in layers)


def plot(layers: Sequence[Layer], title: str, note: str) -> Figure:
    """Bars of parameters and FLOPs, one row per layer without those that are listed in parts."""
    parents = {layer.name.rpartition(".")[0] for layer in layers}
    leaves = [x for x in layers if x.name not in parents and x.name != "(all)"]
    leaves = [layer for layer in leaves if layer.params or layer.flops]
    figure, axes = new_figure(1, 2, title, note, (5.6, 0.24 * len(leaves) + 0.6))
    labels = [f"{layer.name}  {layer.output}" for layer in leaves]
    units = (
        ("parameters (M)", [x.params / 1e6 for x in leaves], "tab:blue"),
        ("FLOPs (G multiply-accumulates)", [x.flops / 1e9 for x in leaves], "tab:orange"),
    )
    for i, (place, (unit, values, colour)) in enumerate(zip(axes[0], units, strict=True)):
        bars = place.barh(range(len(leaves)), values, color=colour)
        place.bar_label(bars, fmt="%.3g", fontsize="x-small", padding=2)
        place.margins(x=0.15)
        place.invert_yaxis()
        place.set_yticks(range(len(leaves)), labels if not i else [], fontsize="x-small")
        place.set_xlabel(unit, fontsize="small")
        place.grid(axis="x", alpha=0.3)
    return figure


def _cells(layer: Layer) -> tuple[str, ...]:
    flops = f"{layer.flops / 1e9:.3f} G"
    return layer.name, layer.kind, layer.output, f"{layer.params:,}", flops


def _shapes(modules: dict[str, nn.Module], run: Any) -> dict[str, str]:
    found: dict[str, str] = {}

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _given: Any, output: Any) -> None:
            outputs = output if isinstance(output, (tuple, list)) else [output]
            shapes = (tuple(each.shape[1:]) for each in outputs if isinstance(each, Tensor))
            found[name] = ", ".join(" x ".join(map(str, shape)) for shape in shapes)

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return found


def _flops(network: nn.Module, image: Tensor) -> dict[str, int]:
    analysis = FlopAnalyzer(network, image)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    analysis.tracer_warnings("none")
    logging.getLogger("mmengine.analysis").setLevel(logging.ERROR)
    return dict(analysis.by_module())
