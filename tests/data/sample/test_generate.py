"""Generation as a whole: same seed, same files; nothing half done, nothing of others touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmvan.data.sample import SAMPLE_TASKS, prepare
from mmvan.data.sample.generate import MANIFEST
from mmvan.errors import DataError


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", tuple(SAMPLE_TASKS))
def test_same_seed_same_files_and_other_seed_other_images(tmp_path: Path, name: str) -> None:
    made = []
    for run, seed in enumerate((3, 3, 4)):
        assert prepare(tmp_path / str(run), name, seed, (2, 1))
        made.append(contents(tmp_path / str(run)))
    assert made[0] == made[1]
    images = [path for path in made[0] if path.lower().endswith((".jpg", ".jpeg", ".png"))]
    assert len(images) == {"cls": 30, "det": 6, "seg": 6}[name]
    assert all(made[0][path] != made[2][path] for path in images)


def test_images_do_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    prepare(few, "seg", counts=(2, 1))
    prepare(many, "seg", counts=(4, 1))
    more = contents(many)
    shared = {path: data for path, data in contents(few).items() if MANIFEST not in path}
    assert len(shared) == 6
    assert all(more[path] == data for path, data in shared.items())


def test_complete_data_are_left_alone_until_something_differs(tmp_path: Path) -> None:
    assert prepare(tmp_path, "det", counts=(2, 1))
    before = (tmp_path / "coco" / MANIFEST).stat().st_mtime_ns
    assert not prepare(tmp_path, "det", counts=(2, 1))
    assert (tmp_path / "coco" / MANIFEST).stat().st_mtime_ns == before
    assert prepare(tmp_path, "det", counts=(2, 1), force=True)
    assert prepare(tmp_path, "det", counts=(3, 1))
    assert prepare(tmp_path, "det", counts=(3, 1), seed=1)
    next((tmp_path / "coco" / "train2017").iterdir()).unlink()
    assert prepare(tmp_path, "det", counts=(3, 1), seed=1)
    assert len(list((tmp_path / "coco" / "train2017").iterdir())) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["coco"]


def test_manifest_tells_classes_and_colours(sample_root: Path) -> None:
    lengths = {}
    for name, task in SAMPLE_TASKS.items():
        manifest = json.loads((sample_root / task.folder / MANIFEST).read_text())
        assert tuple(manifest["classes"]) == task.classes
        lengths[name] = len(manifest["classes"])
        if name != "cls":
            assert len({tuple(colour) for colour in manifest["palette"]}) == lengths[name]
    assert lengths == {"cls": 10, "det": 5, "seg": 8}


def test_a_foreign_directory_is_never_touched(tmp_path: Path) -> None:
    foreign = tmp_path / "imagenet" / "train"
    foreign.mkdir(parents=True)
    (foreign / "precious.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(DataError, match=r"imagenet exists but was not made by .* left alone"):
            prepare(tmp_path, "cls", force=force)
    (tmp_path / "imagenet" / MANIFEST).write_text('{"generator": "another"}')
    with pytest.raises(DataError, match="Choose another output directory"):
        prepare(tmp_path, "cls", force=True)
    assert (foreign / "precious.txt").read_text() == "mine"


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    assert prepare(tmp_path, "seg", counts=(1, 1))
    before = contents(tmp_path)
    monkeypatch.setattr("mmvan.data.sample.generate._digest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path, "det", counts=(1, 1))
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path, "seg", counts=(2, 1))
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("seed", "counts", "message"),
    (
        (-1, (1, 1), "seed -1 is negative; choose 0 or more"),
        (0, (0, 1), "det: 0 train images asked for, but at least 1 is needed"),
        (0, (1, -2), "det: -2 val images asked for"),
    ),
)
def test_impossible_requests_are_refused(
    tmp_path: Path, seed: int, counts: tuple[int, int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        prepare(tmp_path, "det", seed, counts)
    assert not list(tmp_path.iterdir())
