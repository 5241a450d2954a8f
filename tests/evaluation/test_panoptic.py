"""Panoptic quality on maps whose result follows by hand, and by mmdet's evaluator."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from PIL import Image

from mmvan.data.panoptic import encode_ids
from mmvan.evaluation.panoptic import match_segments

# Two kinds of things and one of stuff; the label 3 stands for no segment.
THINGS = {0, 1}
CLASSES, NONE = 3, 3
META = {"classes": ("cat", "dog", "sky"), "thing_classes": ("cat", "dog")}


def segment(number: int, category: int, is_thing: bool) -> dict[str, Any]:
    return {"id": number, "category": category, "is_thing": is_thing}


def row(*parts: tuple[int, int]) -> np.ndarray:
    """A map of one row from pairs of a number and how many pixels have it."""
    return np.concatenate([np.full(count, number, np.int32) for number, count in parts])[None]


def match(truth: np.ndarray, segments: list[dict[str, Any]], predicted: np.ndarray) -> list[Any]:
    return match_segments(truth, segments, predicted, THINGS, CLASSES).tolist()


CAT, SKY = segment(70001, 0, is_thing=True), segment(5, 2, is_thing=False)


def test_a_perfect_prediction_finds_everything() -> None:
    truth = row((70001, 4), (5, 6))
    assert match(truth, [CAT, SKY], row((1000, 4), (2, 6))) == [
        [1, 1, 0, 0],
        [0, 0, 0, 0],
        [1, 1, 0, 0],
    ]


def test_the_iou_must_be_above_a_half() -> None:
    truth = row((70001, 6), (5, 4))
    assert match(truth, [CAT, SKY], row((1000, 4), (2, 6)))[0] == pytest.approx([4 / 6, 1, 0, 0])
    # 3 of 6 pixels are exactly a half.
    assert match(truth, [CAT, SKY], row((1000, 3), (NONE, 3), (2, 4)))[0] == [0, 0, 1, 1]


def test_another_class_is_a_miss_and_a_mistake() -> None:
    truth = row((70001, 4), (5, 6))
    assert match(truth, [CAT, SKY], row((1001, 4), (2, 6))) == [
        [0, 0, 1, 0],
        [0, 0, 0, 1],
        [1, 1, 0, 0],
    ]


def test_two_things_of_a_class_are_told_apart() -> None:
    truth = row((70001, 4), (140002, 4))
    cats = [CAT, segment(140002, 0, is_thing=True)]
    assert match(truth, cats, row((1000, 4), (2000, 4)))[0] == [2, 2, 0, 0]
    assert match(truth, cats, row((1000, 8)))[0] == [0, 0, 2, 1]


def test_pixels_of_no_true_segment_do_not_count() -> None:
    # The union leaves them out; a segment with more than half of its pixels there is forgiven.
    truth = row((70001, 4), (0, 8))
    assert match(truth, [CAT], row((1000, 8), (2001, 4))) == [
        [1, 1, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]
    assert match(row((70001, 4), (0, 4)), [CAT], row((2001, 8)))[1] == [0, 0, 0, 1]


def test_what_lies_on_a_crowd_of_its_class_is_forgiven() -> None:
    crowd = segment(9, 0, is_thing=False)
    truth = row((9, 10), (5, 10))
    on_crowd = row((1000, 3), (1001, 3), (NONE, 4), (2, 10))
    assert match(truth, [crowd, SKY], on_crowd) == [[0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 0, 0]]


def test_no_prediction_misses_everything() -> None:
    truth = row((70001, 4), (5, 6))
    assert match(truth, [CAT, SKY], row((NONE, 10)))[0] == [0, 0, 1, 0]
    assert match(truth, [], row((1000, 10)))[0] == [0, 0, 0, 0]


def test_random_maps_agree_with_a_search_over_all_pairs() -> None:
    """The rules written down pair by pair, as their authors state them."""
    rng = np.random.default_rng(0)
    compared = np.zeros(4)
    for _ in range(60):
        truth = np.kron(rng.integers(0, 9, (6, 6)), np.ones((4, 4), int)).astype(np.int32)
        numbers = range(1, 9)
        segments = [segment(n, n % CLASSES, n % CLASSES < 2 and n != 6) for n in numbers]
        labels = np.append(truth[truth > 0][:1], numbers)
        guess = np.where(rng.random(truth.shape) < 0.15, rng.choice(labels), truth)
        predicted = np.where(guess > 0, guess % CLASSES + 1000 * guess, NONE).astype(np.int32)
        found = match_segments(truth, segments, predicted, THINGS, CLASSES)
        assert found == pytest.approx(search(truth, segments, predicted))
        compared += found.sum(0)
    assert compared.min() > 10


def search(truth: np.ndarray, segments: list[dict[str, Any]], predicted: np.ndarray) -> np.ndarray:
    counts = np.zeros((CLASSES, 4))
    present = [s for s in segments if (truth == s["id"]).any()]
    crowds = [s for s in present if s["category"] in THINGS and not s["is_thing"]]
    guesses = [g for g in np.unique(predicted) if g != NONE]
    used = set()
    for true in present:
        if true in crowds:
            continue
        mask, label = truth == true["id"], true["category"]
        for guess in guesses:
            other = predicted == guess
            union = mask.sum() + (other & (truth != 0) & ~mask).sum()
            iou = (mask & other).sum() / union
            if guess % 1000 == label and iou > 0.5:
                counts[label, :2] += iou, 1
                used.add(guess)
                break
        else:
            counts[label, 2] += 1
    for guess in set(guesses) - used:
        forgiven = truth[predicted == guess] == 0
        for crowd in crowds:
            if crowd["category"] == guess % 1000:
                forgiven |= truth[predicted == guess] == crowd["id"]
        counts[guess % 1000, 3] += forgiven.mean() <= 0.5
    return counts


def evaluate(tmp_path: Path, pairs: list[tuple[np.ndarray, np.ndarray]], **options: Any) -> Any:
    init_default_scope("mmdet")
    evaluator = Evaluator({"type": "mmvan.PanopticQuality", **options})
    evaluator.dataset_meta = META
    for index, (truth, predicted) in enumerate(pairs):
        path = tmp_path / f"{index}.png"
        Image.fromarray(encode_ids(truth)).save(path)
        sample = {
            "seg_map_path": str(path),
            "segments_info": [CAT, SKY],
            "pred_panoptic_seg": {"sem_seg": torch.from_numpy(predicted)[None]},
        }
        evaluator.metrics[0].process(None, [sample])
    return evaluator.evaluate(len(pairs))


def test_images_are_put_together_by_class(tmp_path: Path) -> None:
    first = row((70001, 4), (5, 6)), row((1000, 4), (2, 6))
    second = row((70001, 6), (5, 4)), row((1001, 6), (2, 4))
    found = evaluate(tmp_path, [first, second], classwise=True)
    # cat: 1 found, 1 missed; dog: 1 wrong; sky: 2 found.
    cat, dog, sky = 1 / 1.5, 0.0, 1.0
    expected = {
        "PQ": (cat + dog + sky) / 3,
        "SQ": 2 / 3,
        "RQ": (cat + dog + sky) / 3,
        "PQ_th": (cat + dog) / 2,
        "SQ_th": 1 / 2,
        "RQ_th": (cat + dog) / 2,
        "PQ_st": sky,
        "SQ_st": 1.0,
        "RQ_st": 1.0,
    }
    assert found == pytest.approx({f"coco_panoptic/{k}": 100 * v for k, v in expected.items()})


def test_classes_that_do_not_occur_are_left_out(tmp_path: Path) -> None:
    truth = row((70001, 4), (0, 6))
    found = evaluate(tmp_path, [(truth, row((1000, 4), (NONE, 6)))])
    assert (found["coco_panoptic/PQ"], found["coco_panoptic/PQ_st"]) == (100, 0)
