"""The models as Markdown tables, for README.md and docs/model_zoo.md."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from mmvan.zoo.catalogue import NamedModel, Weights, split_metric

BEGIN = "<!-- models: begin (made by tools/model_tables.py) -->"
END = "<!-- models: end -->"
# Sizes as configs are named by them, and as the paper does.
SIZES = {"t": "t: B0", "s": "s: B1", "b": "b: B2", "l": "l: B3", "h": "h: B4"} | {
    "b5": "b5: B5",
    "b6": "b6: B6",
}
_ABLATIONS = ("in1k_without", "in1k_kernel", "in1k_attention_by", "in1k_with_")
_SHORT_NAMES = {"Top 1 Accuracy": "top-1", "Top 5 Accuracy": "top-5"}
# Who measured a result, as the metafiles label it; the paper's have another label or none.
_MEASURERS = ("mmpretrain", "mmseg")
_EMPTY = "-"


def overview_table(models: Iterable[NamedModel], root: str) -> str:
    """One table of all tasks: a row for each recipe, a column for each size, the paper's results.

    Args:
        models: The models, those of one task and of one config in sequence.
        root: Relative path from the page to the folder of the configs' folder, ``""`` or ``../``.

    Returns:
        str: Markdown.
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for model in models:
        _, size, recipe = Path(model.config).stem.split("_", 2)
        if not model.is_default or recipe.startswith(_ABLATIONS):
            continue
        training = f"`{recipe}`: {model.training_data[-1]}"
        empty = {"recipe": training, **dict.fromkeys(SIZES.values(), "")}
        row = rows.setdefault((model.task, recipe), empty)
        result = _results(model.metrics, by=None) or "config"
        row[SIZES[size]] = f"[{result}]({root}{model.config})"
    return _table(list(rows.values()))


def zoo_tables(models: Iterable[NamedModel], root: str) -> str:
    """What was published about each config, and every file of weights.

    Args:
        models: As those of :func:`summary_tables`.
        root: As that of :func:`summary_tables`.

    Returns:
        str: Markdown, with headings.
    """
    listed = list(models)
    results, files = summary_tables(listed, root), weights_tables(listed, root)
    return f"## Published results\n\n{results}\n\n{files}"


def summary_tables(models: Iterable[NamedModel], root: str) -> str:
    """What was published about each config: one table per task, without the backbones.

    Args:
        models: The models, those of one task and of one config in sequence.
        root: Relative path from the page to the folder of the configs' folder, ``""`` or ``../``.

    Returns:
        str: Markdown, a title and a table for each task.
    """
    whole = [model for model in models if not (model.weights and model.weights.holds == "backbone")]
    sections = []
    for task, of_task in groupby(whole, lambda model: model.task):
        groups = groupby(of_task, lambda model: (model.config, model.training_data))
        rows = [_summary_row(list(group), root) for _, group in groups]
        sections.append(f"**{task.capitalize()}**\n\n{_table(rows)}")
    return "\n\n".join(sections)


def weights_tables(models: Iterable[NamedModel], root: str) -> str:
    """Every model that has a name, with its file: one table per task, and below it the doubts.

    Args:
        models: The models, those of one task in sequence.
        root: Relative path from the page to the folder of the configs' folder, ``""`` or ``../``.

    Returns:
        str: Markdown, a heading, a table and a list of doubts for each task.
    """
    sections = []
    for task, of_task in groupby(models, lambda model: model.task):
        listed = list(of_task)
        sections.append(f"## Files: {task}")
        sections.append(_table([_weights_row(model, root) for model in listed]))
        sections += _doubts(listed)
    return "\n\n".join(sections)


def replace_section(text: str, section: str) -> str:
    """Put a section between the marks of a page.

    Args:
        text: A page with :data:`BEGIN` and :data:`END` in it, once each and in this order.
        section: The new text between them.

    Returns:
        str: The page with the section.

    Raises:
        ValueError: The marks are missing, repeated or in the wrong order.
    """
    if (text.count(BEGIN), text.count(END)) != (1, 1) or text.index(BEGIN) > text.index(END):
        raise ValueError(f"expected one line {BEGIN!r} and, after it, one line {END!r}")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{section}\n\n{END}{after}"


def _summary_row(models: Sequence[NamedModel], root: str) -> dict[str, str]:
    """The row of models that differ in nothing but their files."""
    first = models[0]
    metrics = {name: value for model in models for name, value in model.metrics.items()}
    files = [model.weights for model in models if model.weights]
    return {
        "model": f"[`{first.name}`]({root}{first.config})",
        "trained on": ", ".join(first.training_data),
        "recipe": first.recipe,
        "params (M)": _in_unit(first.parameters, 1e6),
        "FLOPs (G)": _in_unit(first.flops, 1e9),
        "paper": _results(metrics, by=None),
        **{f"by {by}": _results(metrics, by) for by in _MEASURERS},
        "weights": ", ".join(map(_layout_link, files)),
    }


def _weights_row(model: NamedModel, root: str) -> dict[str, str]:
    cells = {
        "name": f"[`{model.name}`]({root}{model.config})",
        "trained on": ", ".join(model.training_data),
        "paper": _results(model.metrics, by=None),
        **{f"by {by}": _results(model.metrics, by) for by in _MEASURERS},
        "file": "",
        "holds": "",
        "layout": "",
        "SHA-256": "",
        "source": "",
    }
    if (weights := model.weights) is not None:
        cells["file"] = f"[{weights.address.rpartition('/')[2]}]({_url(weights.address)})"
        cells["holds"] = weights.holds
        cells["layout"] = weights.layout
        cells["SHA-256"] = f"{weights.sha256}..." if weights.sha256 else "none published"
        cells["source"] = f"[page]({weights.source})"
    return cells


def _doubts(models: Iterable[NamedModel]) -> list[str]:
    """One list of the files that may not be what they say, or nothing."""
    files = [(model.name, model.weights) for model in models if model.weights]
    lines = [f"- `{name}`: {weights.doubt}" for name, weights in files if weights.doubt]
    return ["In doubt:\n\n" + "\n".join(lines)] if lines else []


def _results(metrics: Mapping[str, float], by: str | None) -> str:
    """The results that somebody measured; None stands for the paper."""
    cells = []
    for metric, value in metrics.items():
        full, label = split_metric(metric)
        name = _SHORT_NAMES.get(full, full)
        if by is not None and label == by:
            cells.append(f"{name} {value:g}")
        elif by is None and label not in _MEASURERS:
            cells.append(f"{name} {value:g}" + (f" ({label})" if label else ""))
    return ", ".join(cells)


def _in_unit(number: int | None, unit: float) -> str:
    return "" if number is None else f"{number / unit:g}"


def _layout_link(weights: Weights) -> str:
    doubt = " (in doubt)" if weights.doubt else ""
    return f"[{weights.layout}]({_url(weights.address)}){doubt}"


def _url(address: str) -> str:
    return address.replace("hf://", "https://huggingface.co/")


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    """A Markdown table without the columns that are empty in all rows."""
    columns = [name for name in rows[0] if any(row[name] for row in rows)]
    lines = [columns, ["---"] * len(columns)]
    lines += [[row[name] or _EMPTY for name in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
