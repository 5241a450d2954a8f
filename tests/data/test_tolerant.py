"""A bad sample is replaced by a good one, whatever is bad, and the count is exact."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope
from mmengine.structures import BaseDataElement

from mmvan.data.tolerant import MARK, MAX_ATTEMPTS, TolerantDataset, marks, samples_of
from mmvan.errors import ConfigError, DataError
from tests.data.bad_datasets import SCOPES, SIDE, Corpus, corpus
from tests.data.bad_files import encode, photo

TASKS = tuple(SCOPES)


def found_kinds(dataset: TolerantDataset) -> list[str]:
    """The kind of fault of each index itself; empty strings where it was not replaced."""
    faults = [marks(sample_of(dataset[index])) for index in range(len(dataset))]
    return [fault[0].kind if fault else "" for fault in faults]


def sample_of(data: Any) -> BaseDataElement:
    return next(samples_of(data))


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Corpus]:
    return {task: corpus(task, tmp_path_factory.mktemp(task)) for task in TASKS}


@pytest.mark.parametrize("task", TASKS)
def test_every_kind_is_told_and_replaced(task: str, corpora: dict[str, Corpus]) -> None:
    dataset = TolerantDataset(corpora[task].build(task))
    assert found_kinds(dataset) == corpora[task].kinds
    assert len({kind for kind in corpora[task].kinds if kind}) >= 8


@pytest.mark.parametrize("task", TASKS)
def test_the_replacement_depends_on_the_index_alone(task: str, corpora: dict[str, Corpus]) -> None:
    dataset = TolerantDataset(corpora[task].build(task))
    bad = corpora[task].kinds.index("empty")
    first = dataset[bad]
    np.random.seed(5)
    for index in range(3):
        dataset[index]
    again = pickle.loads(pickle.dumps(dataset))[bad]
    assert sample_of(first).img_path == sample_of(again).img_path
    np.testing.assert_array_equal(first["inputs"], again["inputs"])
    assert sample_of(first).get(MARK) == sample_of(again).get(MARK)


@pytest.mark.parametrize("task", TASKS)
def test_good_samples_are_what_they_are_without_it(task: str, corpora: dict[str, Corpus]) -> None:
    plain = corpora[task].build(task)
    expected = [plain[index] for index in range(6)]
    dataset = TolerantDataset(plain)
    for index, data in enumerate(expected):
        np.testing.assert_array_equal(dataset[index]["inputs"], data["inputs"])
        assert MARK not in sample_of(dataset[index])


def test_wrappers_inside_and_outside(corpora: dict[str, Corpus]) -> None:
    part = corpora["classification"]
    init_default_scope("mmpretrain")
    both = {"type": "ConcatDataset", "datasets": [part.options, part.options]}
    inside = DATASETS.build(
        {
            "type": "mmvan.TolerantDataset",
            "dataset": {"type": "RepeatDataset", "times": 2, "dataset": both},
        }
    )
    assert found_kinds(inside) == part.kinds * 4
    outside = DATASETS.build(
        {
            "type": "RepeatDataset",
            "times": 2,
            "dataset": {"type": "mmvan.TolerantDataset", "dataset": part.options},
        }
    )
    assert marks(sample_of(outside[len(part.kinds) + part.kinds.index("empty")]))[0].kind == "empty"
    assert inside.metainfo == outside.metainfo
    assert inside.get_data_info(3)["img_path"] == outside.get_data_info(3)["img_path"]


def test_images_that_are_mixed_with_a_bad_one(tmp_path: Path) -> None:
    part = corpus("detection", tmp_path, good=200)
    init_default_scope("mmdet")
    loading = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations", "with_bbox": True}]
    inner = {**part.options, "pipeline": loading}
    mosaic = {"type": "Mosaic", "img_scale": (SIDE, SIDE), "prob": 1.0}
    mixed = {
        "type": "MultiImageMixDataset",
        "dataset": inner,
        "pipeline": [mosaic, {"type": "PackDetInputs"}],
    }
    np.random.seed(0)
    dataset = TolerantDataset(DATASETS.build(mixed))
    faults = [fault for index in range(10) for fault in marks(sample_of(dataset[index]))]
    assert len(faults) > 3
    assert {fault.kind for fault in faults} <= set(part.kinds) - {"", "pipeline"}


def test_a_replaced_pipeline_is_inspected_too(corpora: dict[str, Corpus]) -> None:
    dataset = TolerantDataset(corpora["segmentation"].build("segmentation"))
    before = [type(step).__name__ for step in dataset.dataset.pipeline.transforms]
    dataset.pipeline = dataset.pipeline
    assert [type(step).__name__ for step in dataset.dataset.pipeline.transforms] == before
    assert before[:5] == [
        "InspectFiles",
        "LoadImageFromFile",
        "InspectInstances",
        "LoadAnnotations",
        "InspectMap",
    ]


def test_nothing_but_bad_data_is_an_error(tmp_path: Path) -> None:
    options = corpus("classification", tmp_path).options
    (tmp_path / "list.txt").write_text("empty.jpg 0\ntext.jpg 1\n")
    init_default_scope("mmpretrain")
    dataset = TolerantDataset(DATASETS.build(options))
    with pytest.raises(DataError, match=rf"{MAX_ATTEMPTS} samples in a row are bad: .*empty.jpg"):
        dataset[0]


def test_faults_of_the_config_are_not_of_the_sample(corpora: dict[str, Corpus]) -> None:
    options = corpora["detection"].options
    init_default_scope("mmdet")
    load = {"type": "mmvan.LoadImage", "short_side": 16}
    pipeline = [load, *options["pipeline"][1:]]
    dataset = TolerantDataset(DATASETS.build({**options, "pipeline": pipeline}))
    with pytest.raises(ConfigError, match="short_side"):
        dataset[0]


def test_a_limit_of_pixels(tmp_path: Path) -> None:
    options = corpus("classification", tmp_path).options
    (tmp_path / "images" / "good_1.jpg").write_bytes(encode(photo(0, 200, 100), "JPEG"))
    init_default_scope("mmpretrain")
    dataset = TolerantDataset(DATASETS.build(options), max_pixels=10_000)
    fault = marks(sample_of(dataset[1]))[0]
    assert (fault.kind, fault.reason) == ("too large", "200 x 100 pixels; the limit is 10000")


def test_grey_images_for_what_cannot_be_read(corpora: dict[str, Corpus]) -> None:
    for task in TASKS:
        dataset = TolerantDataset(corpora[task].build(task), blank=True)
        bad = corpora[task].kinds.index("empty")
        data = dataset[bad]
        assert sample_of(data).img_path.endswith("empty.jpg")
        assert set(np.unique(data["inputs"])) == {127}
        assert [fault.kind for fault in marks(sample_of(data))] == ["empty"]
