"""Custom class folders."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from mmengine.config import Config
from mmpretrain.datasets import CustomDataset

from mmvan.data.prepare.custom import Choice
from mmvan.data.prepare.custom_folders import prepare_folders
from mmvan.data.prepare.dataset import Options
from mmvan.errors import DataError
from tests.data.prepare.making import encoded_image, tree, write, zipped

FILES = {f"{c}/{n}.jpg": encoded_image(n) for c in ("cat", "dog") for n in range(5)}


def refusal(options: Options) -> str:
    with pytest.raises(DataError) as caught:
        prepare_folders(options, Choice())
    return str(caught.value)


@pytest.mark.parametrize("form", ("folder", "archive"))
def test_class_folders_are_divided(tmp_path: Path, form: str) -> None:
    if form == "folder":
        source = write(tmp_path / "pets", FILES)
    else:
        source = write(tmp_path, {"pets.zip": zipped({f"top/{k}": v for k, v in FILES.items()})})
    told = prepare_folders(Options(tmp_path / "target", (source,)), Choice(0.4))
    assert told.startswith("6 images to train on, 4 to validate; 2 classes: cat, dog\n")
    cfg = Config.fromfile(tmp_path / "target/van_b_target.py")
    sizes = {}
    for loader in ("train", "val"):
        options = cfg[f"{loader}_dataloader"].dataset
        keys = ("data_root", "data_prefix", "metainfo", "with_label")
        data = CustomDataset(**{key: options[key] for key in keys})
        sizes[loader] = len(data)
        assert set(data.get_gt_labels()) == {0, 1}
    assert sizes == {"train": 6, "val": 4}


def test_given_splits_are_kept(tmp_path: Path) -> None:
    files = {
        f"{split}/{name}": data for split in ("Train", "valid") for name, data in FILES.items()
    }
    source = write(tmp_path / "source", files)
    prepare_folders(Options(tmp_path / "target", (source,)), Choice(0.4))
    assert len(tree(tmp_path / "target/train")) == len(tree(tmp_path / "target/val")) == 10


def test_images_outside_of_class_folders(tmp_path: Path) -> None:
    source = write(tmp_path / "source", FILES | {"loose.jpg": encoded_image()})
    text = refusal(Options(tmp_path / "target", (source,)))
    assert "1 images are in no class folder: " in text
    assert "--annotations or --masks" in text
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("extra", ({"bird/1.jpg": encoded_image()}, {}))
def test_too_few_classes_or_images(tmp_path: Path, extra: dict[str, bytes]) -> None:
    files = (
        FILES | extra if extra else {"x/cat/1.jpg": encoded_image(), "x/cat/2.jpg": encoded_image()}
    )
    source = write(tmp_path / "source", files)
    text = refusal(Options(tmp_path / "target", (source,)))
    assert ("in one only: bird" if extra else "in no class folder") in text


def test_what_is_wrong_is_told_at_once_and_no_config_stays(tmp_path: Path) -> None:
    source = write(tmp_path / "source", FILES | {"dog/3.jpg": b"x", "cat/4.jpg": b"y"})
    options = Options(tmp_path / "target", (source,))
    text = refusal(options)
    assert text.count("cannot be decoded") == 2
    assert list((tmp_path / "target").glob("*.py")) == []
    write(source, {"dog/3.jpg": encoded_image(), "cat/4.jpg": encoded_image()})
    assert "2 classes" in prepare_folders(options, Choice())


def test_a_broken_image_taken_out_of_the_source(tmp_path: Path) -> None:
    source = write(tmp_path / "source", FILES | {"dog/IMG 9.jpg": b"x"})
    options = Options(tmp_path / "target", (source,))
    text = refusal(options)
    assert ": dog/IMG 9.jpg: cannot be decoded" in text
    assert "to do:    repair these files in --source, or take them" in text
    (source / "dog/IMG 9.jpg").unlink()
    assert "2 classes" in prepare_folders(options, Choice())
    assert len(tree(options.target / "train")) + len(tree(options.target / "val")) == len(FILES)


def test_a_source_that_was_moved(tmp_path: Path) -> None:
    source = write(tmp_path / "source", FILES)
    prepare_folders(Options(tmp_path / "target", (source,)), Choice())
    moved = source.rename(tmp_path / "moved")
    told = prepare_folders(Options(tmp_path / "target", (moved,)), Choice())
    assert told.startswith("8 images to train on, 2 to validate; ")


def test_the_command_that_it_names_can_be_typed(tmp_path: Path) -> None:
    target = tmp_path / "my pets"
    told = prepare_folders(Options(target, (write(tmp_path / "source", FILES),)), Choice())
    command = told.splitlines()[-1].removeprefix("Train with ")
    config = target / "van_b_my pets.py"
    assert shlex.split(command) == ["mmvan", "train", str(config)]
    assert config.read_text().splitlines()[0] == f"# {command}"


def test_another_seed_into_the_same_target(tmp_path: Path) -> None:
    options = Options(tmp_path / "target", (write(tmp_path / "source", FILES),))
    prepare_folders(options, Choice(0.4, 0))
    with pytest.raises(DataError, match=r"\d files that are not of this run: (train|val)/"):
        prepare_folders(options, Choice(0.4, 3))
