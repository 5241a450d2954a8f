"""The classifiers in mmpretrain's hub."""

import mmpretrain
import pytest
from mmpretrain.apis import ModelHub

from mmvan import VAN
from mmvan.zoo import register_with_mmpretrain
from mmvan.zoo.catalogue import find_model


@pytest.fixture(autouse=True)
def registered() -> list[str]:
    return register_with_mmpretrain()


def test_mmpretrain_lists_the_classifiers(registered: list[str]) -> None:
    assert len(registered) == 42
    assert set(registered) <= set(mmpretrain.list_models())
    of_mmpretrain = mmpretrain.list_models("van-")
    assert len(of_mmpretrain) == 4  # its own four stay what they are
    assert register_with_mmpretrain() == registered
    classifiers = mmpretrain.list_models("van_", task="Image Classification")
    assert {"van_t_in1k", "van_h_in1k", "van_b_in1k_mmpretrain"} <= set(classifiers)


def test_the_hub_has_the_address_and_the_collection_of_each() -> None:
    entry = ModelHub.get("van_t_in1k_mmpretrain")
    published = find_model("van_t_in1k_mmpretrain").weights
    assert published is not None
    assert entry.weights == published.address
    assert entry.full_model.paper["Title"] == "Visual Attention Network"


def test_mmpretrain_builds_one_by_name() -> None:
    model = mmpretrain.get_model("van_t_in1k", pretrained=False, head={"num_classes": 7})
    assert type(model.backbone) is VAN
    assert model.head.fc.weight.shape == (7, 256)
