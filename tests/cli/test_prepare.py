"""The command that prepares datasets, up to a training with the config that it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmvan.cli import prepare
from mmvan.cli.main import make_parser
from mmvan.data.sample import SAMPLE_SEGMENTS
from mmvan.errors import UserError
from tests.tools.workplace import Workplace

SAMPLE = Path("data/sample")
COCO = SAMPLE / "coco"
ADE = SAMPLE / "ade20k"
# Sources and options of each form, the config that they give, and what makes the training small: a
# B0 without weights on images of 128 x 128, for one iteration and one evaluation.
FORMS = {
    "images": (
        (SAMPLE / "imagenet",),
        ("--config", "van_t_in1k"),
        "van_t_in1k_images",
        ("train_cfg.max_epochs=1",),
        "accuracy/top1",
    ),
    "boxes": (
        (COCO / "train2017", COCO / "val2017"),
        (
            "--annotations",
            COCO / "annotations/instances_train2017.json",
            COCO / "annotations/instances_val2017.json",
        ),
        "van_b_boxes",
        (
            "model.neck.in_channels=[32,64,160,256]",
            "train_cfg.max_epochs=1",
            "train_dataloader.dataset.indices=2",
            "train_dataloader.dataset.pipeline.2.scale=(128,128)",
            "val_dataloader.dataset.pipeline.1.scale=(128,128)",
        ),
        "coco/segm_mAP",
    ),
    "maps": (
        (ADE / "images",),
        ("--masks", ADE / "annotations", "--classes", "names.txt", "--config", "van_t_fpn"),
        "van_t_fpn_maps",
        (
            "train_cfg.max_iters=1",
            "train_cfg.val_interval=1",
            "train_dataloader.batch_size=2",
            "train_dataloader.dataset.pipeline.2.scale=(256,128)",
            "train_dataloader.dataset.pipeline.3.crop_size=(128,128)",
            "val_dataloader.dataset.pipeline.1.scale=(256,128)",
        ),
        "mIoU",
    ),
}


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def refusal(command: pytest.MonkeyPatch, *arguments: str) -> str:
    with pytest.raises(UserError) as caught:
        prepare.run(make_parser("prepare").parse_args(arguments))
    return str(caught.value)


@pytest.mark.parametrize("name", prepare.DATA_SETS)
def test_without_anything_it_says_what_to_get(command: pytest.MonkeyPatch, name: str) -> None:
    data = prepare.DATA_SETS[name]
    text = refusal(command, name)
    assert text.startswith(f"--target {data.target}: no such folder; ")
    assert text.endswith(data.needs)


def test_there_are_all_data_sets() -> None:
    assert list(prepare.DATA_SETS) == ["imagenet", "coco", "ade20k", "cub200", "camvid"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    (
        ((), "custom: --source is missing"),
        (("--source", "x", "--annotations", "a", "--masks", "m"), "exclude each other"),
        (("--source", "x", "--annotations", "a", "b", "c"), "3 files, expected one or two"),
        (("--source", "x", "--masks", "m"), "--classes missing. Expected a file"),
        (("--source", "x", "--masks", "m", "--classes", "none.txt"), "none.txt: no such file"),
        (("--source", "x", "--val-ratio", "20"), "--val-ratio 20.0: expected a share"),
        (("--source", "x", "--workers", "-1"), "--workers -1: expected 0 or more"),
        (("--source", "none"), "--source none: no such file or folder"),
        (("--source", "x", "--config", "van_t_in1"), "--config van_t_in1: no such file"),
        (("--source", "x", "--config", "van_t_fpn"), "expected a config for classification"),
        (("--source", "x", "--annotations", "a", "--config", "van_t_fpn"), "config for detection"),
        (("--source", "x", "--masks", "m", "--config", "van_t_in1k"), "config for segmentation"),
    ),
)
def test_options_that_cannot_be(
    command: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    assert message in refusal(command, "custom", *arguments)


def test_a_config_for_camvid(command: pytest.MonkeyPatch) -> None:
    text = refusal(command, "camvid", "--source", "x", "--config", "van_t_retinanet")
    assert "is for detection; expected a config for segmentation" in text
    with pytest.raises(SystemExit):
        make_parser("prepare").parse_args(["coco", "--config", "van_t_retinanet"])


@pytest.mark.parametrize("names", ("", "one\n", "one\ntwo\none\n"))
def test_class_names_that_cannot_be(
    command: pytest.MonkeyPatch, tmp_path: Path, names: str
) -> None:
    (tmp_path / "names.txt").write_text(names)
    text = refusal(command, "custom", "--source", "x", "--masks", "m", "--classes", "names.txt")
    assert "expected two or more different names" in text


@pytest.mark.slow
def test_a_problem_ends_with_status_2_and_a_report(workplace: Workplace) -> None:
    source = workplace.root / "broken"
    for split in ("training", "validation"):
        folder = source / "images" / split
        folder.mkdir(parents=True)
        (folder / "a.jpg").write_bytes(b"x")
    message = workplace.refuse(
        "prepare_dataset.py", "ade20k", "--source", source, "--target", "ade", "--partial"
    )
    assert message.startswith("error: 6 problems with ade, in full in ade/prepare_report.txt:\n")
    report = (workplace.root / "ade/prepare_report.txt").read_text()
    assert report.count("a.jpg: cannot be decoded") == 2


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_the_config_of_own_data_trains(workplace: Workplace, form: str) -> None:
    sources, options, name, small, metric = FORMS[form]
    names = ("other", *SAMPLE_SEGMENTS)
    (workplace.root / "names.txt").write_text("\n".join(names))
    said = workplace.succeed(
        "prepare_dataset.py",
        *("custom", "--source", *sources, *options, "--target", form, "--workers", "1"),
    )
    config = f"{form}/{name}.py"
    assert f"Train with mmvan train {config}\n" in said
    workplace.succeed(
        "train.py",
        *(config, "--device", "cpu", "--work-dir", f"work_dirs/{form}", "--cfg-options"),
        *("model.backbone.arch=b0", "model.backbone.init_cfg=None", *small),
    )
    (scalars,) = (workplace.root / "work_dirs" / form).glob("*/vis_data/scalars.json")
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    assert any(metric in line for line in lines)
