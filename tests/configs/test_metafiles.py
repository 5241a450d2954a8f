"""The metafiles: readable by every tool, complete, and in each number what was published."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import modelindex
import pytest
import yaml
from mmengine.infer import BaseInferencer

from mmvan.zoo.catalogue import NamedModel, named_models
from tests.configs.published import ABLATIONS
from tests.configs.zoo import ARCH_OF_SIZE, CONFIGS, REFERENCE, load, method_and_size

PROJECT = CONFIGS.parent
PUBLISHED = PROJECT / "mmvan" / "leaderboard" / "published"
RESULTS = yaml.safe_load((PUBLISHED / "results.yml").read_text())
RECIPES = yaml.safe_load((PUBLISHED / "recipes.yml").read_text())
MODELS = list(named_models().values())
WITH_WEIGHTS = [model for model in MODELS if model.weights]
# The paper's name of each method in its table of the 3x schedule.
METHODS_3X = {
    "maskrcnn_3x": "mask_rcnn",
    "cascade_maskrcnn_3x": "cascade_mask_rcnn",
    "atss_3x": "atss",
    "gfl_3x": "gfl",
}
ROWS = {
    "in1k": "imagenet_1k",
    "in22k_in1k": "imagenet_22k_pretrained",
    "in22k_in1k_384": "imagenet_22k_pretrained",
    "cub200": "cub_200",
    **dict.fromkeys(ABLATIONS, "ablations_b0"),
    "maskrcnn": "coco_mask_rcnn_1x",
    "retinanet": "coco_retinanet_1x",
    **dict.fromkeys(METHODS_3X, "coco_3x"),
    "mask2former_panoptic": "coco_panoptic_mask2former",
    "fpn": "ade20k_semantic_fpn",
    "fpn_in22k": "ade20k_semantic_fpn",
    "upernet": "ade20k_upernet",
    "upernet_in22k": "ade20k_upernet",
}
FIELD_OF_METRIC = {
    "Top 1 Accuracy": "top1",
    "Top 1 Accuracy (mmpretrain)": "mmpretrain_top1",
    "Top 5 Accuracy (mmpretrain)": "mmpretrain_top5",
    "PQ": "pq",
    "PQ things": "pq_things",
    "PQ stuff": "pq_stuff",
    "box AP": "box_ap",
    "mask AP": "mask_ap",
    "mIoU": "miou",
    "mIoU(ms+flip)": "miou_ms",
    "mIoU (mmseg)": "mmseg_miou",
}
# Whose files have which keys, and whether the head is in them.
CONTENT = {
    "official_classification": ("official", "model"),
    "mmpretrain": ("mmpretrain", "model"),
    "mmcls": ("mmpretrain", "model"),
    "mmseg_backbone": ("mmseg", "backbone"),
    "mmseg_fpn": ("mmseg", "model"),
    "mmseg_upernet": ("mmseg", "model"),
    "huggingface_transformers": ("huggingface", "model"),
}


def published_files() -> Iterator[tuple[str, str, str]]:
    """Publisher, size with pre-training, and what the sources say of each file's address."""
    more = RECIPES["more_checkpoints"]
    for publisher, files in {**RESULTS["checkpoints"], "mmcls": more["mmcls"]}.items():
        for size, address in files.items():
            yield publisher, size, address
    yield "mmseg_backbone", "b4", more["mmseg_backbone_b4"]


FILES = list(published_files())


def method_and_arch(model: NamedModel) -> tuple[str, str]:
    method, size = method_and_size(Path(model.config))
    return method, ARCH_OF_SIZE[size]


def rows_of(table: str) -> list[dict[str, Any]]:
    """The rows of a table, each with its arch and what else tells it from the others."""
    rows = RESULTS[table]
    if table == "cub_200":
        return [rows]
    if table == "imagenet_22k_pretrained":
        return [{**row, "pretrained": "in22k"} for row in rows]
    if table != "ablations_b0":
        return rows
    kernels = {f"kernel{row['kernel']}": row for row in rows["kernel_sizes"]}
    named = {**rows, **kernels}
    names = [method.removeprefix("in1k_") for method in ABLATIONS]
    return [{"arch": "b0", "ablation": name, **named[name]} for name in names]


def published_row(model: NamedModel) -> dict[str, Any]:
    """What was published about the model's method, size and pre-training; empty if nothing."""
    method, arch = method_and_arch(model)
    pretrained = "in22k" if "ImageNet-22k" in model.training_data else "in1k"
    settings = {
        "arch": arch,
        "method": METHODS_3X.get(method),
        "input": {"in22k_in1k": 224, "in22k_in1k_384": 384}.get(method),
        "ablation": method.removeprefix("in1k_") if method in ABLATIONS else None,
    }
    (row,) = [
        row
        for row in (rows_of(ROWS[method]) if method in ROWS else ())
        if row.get("pretrained", "in1k") == pretrained
        and all(row.get(name) == value for name, value in settings.items())
    ] or [{}]
    if (method, arch, pretrained) == ("in1k", "b4", "in1k"):
        top1, top5 = re.findall(r"top-\d ([\d.]+)", RECIPES["more_checkpoints"]["mmcls"]["b4"])
        row = {**row, "mmpretrain_top1": float(top1), "mmpretrain_top5": float(top5)}
    return row


def published_complexity(model: NamedModel) -> tuple[int | None, set[int | None]]:
    """Parameters, and the FLOPs that any source gives."""
    method, arch = method_and_arch(model)
    if ROWS.get(method) == "imagenet_22k_pretrained":
        flops = published_row(model)["flops"]
        return scaled(RESULTS["architectures"][arch]["params"], 1e6), {scaled(flops, 1e9)}
    if method != "in1k":
        row = published_row(model)
        return scaled(row.get("params"), 1e6), {scaled(row.get("flops"), 1e9)}
    row = RESULTS["architectures"][arch]
    fine_tuned = RESULTS["imagenet_22k_pretrained"]
    flops = [r["flops"] for r in fine_tuned if (r["arch"], r["input"]) == (arch, 224)]
    return scaled(row["params"], 1e6), {scaled(f, 1e9) for f in [row["flops"], *flops]}


def scaled(number: float | None, unit: float) -> int | None:
    return None if number is None else round(number * unit)


def test_the_index_is_valid_and_names_every_reference_config() -> None:
    index = modelindex.load(str(PROJECT / "model-index.yml"))
    index.build_models_with_collections()
    assert index.check(silent=True) == []
    assert [model.name for model in index.models] == [model.name for model in MODELS]
    assert len(MODELS) == 71
    configs = {str(path.relative_to(PROJECT)) for path in REFERENCE}
    assert {model.config for model in index.models} == configs
    assert {model.config for model in MODELS if model.is_default} == configs
    assert len(configs) == 52
    for model in index.models:
        assert model.full_model.paper["URL"] == "https://arxiv.org/abs/2202.09741"


def test_the_inferencers_hub_reads_the_same_models() -> None:
    read = list(BaseInferencer._get_models_from_metafile(str(PROJECT)))
    assert [entry["Name"] for entry in read] == [model.name for model in MODELS]
    assert sum("Weights" in entry for entry in read) == len(WITH_WEIGHTS) == 34


def test_names_say_config_pretraining_and_publisher() -> None:
    for model in MODELS:
        method, size = method_and_size(Path(model.config))
        data = f"({method}|in22k)(_mmpretrain|_huggingface|_mmseg)?" if method == "in1k" else method
        pattern = f"van_{size}_{data}"
        assert re.fullmatch(pattern, model.name), model.name
        if "in22k" in model.name:
            assert model.training_data[0] == "ImageNet-22k"


@pytest.mark.parametrize(("publisher", "size", "address"), FILES)
def test_every_published_file_is_listed_once(publisher: str, size: str, address: str) -> None:
    # Some sources shorten the address, or say something after it.
    pattern = ".*".join(map(re.escape, address.partition(" ")[0].split("...")))
    found = [m for m in WITH_WEIGHTS if re.search(f"(^|/){pattern}$", m.weights.address)]
    assert len(found) == 1
    (model,) = found
    layout, holds = CONTENT[publisher]
    if publisher == "mmcls" and "in22k" in size:
        holds = "backbone"
    assert (model.weights.layout, model.weights.holds) == (layout, holds)
    arch, _, pretrained = size.partition("-")
    assert method_and_arch(model)[1] == arch
    assert ("ImageNet-22k" in model.training_data) is (pretrained == "in22k")


def test_no_other_file_is_listed() -> None:
    assert len(WITH_WEIGHTS) == len(FILES) == 34
    assert len({model.weights.address for model in WITH_WEIGHTS}) == 34


def test_the_hash_is_the_one_in_the_name_of_the_file() -> None:
    hashes = {}
    for model in WITH_WEIGHTS:
        in_name = re.search(r"-([0-9a-f]{8})\.\w+$", model.weights.address)
        assert model.weights.sha256 == (in_name and in_name[1]), model.name
        hashes.setdefault(model.weights.sha256, []).append(model)
    assert len(hashes.pop(None)) == 8  # the authors' and Hugging Face's
    shared = [models for models in hashes.values() if len(models) > 1]
    assert [[model.name for model in models] for models in shared] == [
        ["van_l_upernet", "van_h_upernet"]
    ]
    for model in shared[0]:
        assert model.weights.sha256 in model.weights.doubt


def test_doubtful_files_are_said_to_be_so() -> None:
    doubtful = {model.name for model in WITH_WEIGHTS if model.weights.doubt}
    assert doubtful == {"van_l_upernet", "van_h_upernet", "van_b6_in22k_mmpretrain"}


def test_every_result_is_the_published_one() -> None:
    checked = 0
    for model in MODELS:
        row = published_row(model)
        for metric, value in model.metrics.items():
            # RetinaNet has no masks: its table says `ap`.
            field = "ap" if "ap" in row else FIELD_OF_METRIC[metric]
            assert value == row[field], (model.name, metric)
            checked += 1
    assert checked == 75


def test_no_published_result_of_a_config_is_left_out() -> None:
    listed = {
        (*method_and_arch(model), model.training_data, metric)
        for model in MODELS
        for metric in model.metrics
    }
    # The kernel of 21 is that of the plain model.
    tables = (row for table in set(ROWS.values()) for row in rows_of(table))
    published = sum(len(row.keys() & {*FIELD_OF_METRIC.values(), "ap"}) for row in tables)
    of_mmcls = 2
    assert len(listed) == published + of_mmcls == 75


def test_parameters_and_flops_are_the_published_ones() -> None:
    flops = 0
    for model in MODELS:
        parameters, any_flops = published_complexity(model)
        assert model.parameters == parameters, model.name
        assert model.flops in any_flops, model.name
        flops += model.flops is not None
    assert flops == 55


def test_configs_start_from_files_that_are_listed_for_their_size() -> None:
    addresses = {model.weights.address: model for model in WITH_WEIGHTS}
    started = 0
    for path in REFERENCE:
        weights = (load(path).model.backbone.get("init_cfg") or {}).get("checkpoint")
        if weights:
            arch = ARCH_OF_SIZE[method_and_size(path)[1]]
            assert method_and_arch(addresses[weights])[1] == arch, path.name
            started += 1
    assert started == 36


def test_the_paper_result_is_the_one_that_the_config_states() -> None:
    without_result = {model.name for model in MODELS if model.is_default and not model.metrics}
    assert without_result == {
        "van_b5_in1k",
        "van_b6_in1k",
        "van_h_fpn",
        "van_h_fpn_in22k",
        "van_b_mask2former",
    }
    stated = 0
    for model in (model for model in MODELS if model.is_default):
        text = (PROJECT / model.config).read_text()
        for metric, value in model.metrics.items():
            if "(mm" not in metric:
                assert str(value) in text, (model.name, metric)
                stated += 1
    assert stated == 55
