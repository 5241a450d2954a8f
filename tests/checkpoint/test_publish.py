from hashlib import sha256
from pathlib import Path

import pytest
import torch

from mmvan.checkpoint.publish import publish_checkpoint
from mmvan.checkpoint.reading import read_checkpoint
from mmvan.errors import CheckpointError
from tests.checkpoint.test_convert import classifier, same

TRAINED = {
    "state_dict": classifier(),
    "ema_state_dict": classifier(),
    "optimizer": {"state": {0: torch.ones(3)}},
    "param_schedulers": [{}],
    "message_hub": {},
    "meta": {
        "epoch": 12,
        "cfg": "data_root = '/home/me/data'",
        "dataset_meta": {"classes": ["cat", "dog"]},
    },
}


@pytest.mark.parametrize(
    ("name", "ending"),
    (
        ("van_x", ".safetensors"),
        ("van_x.safetensors", ".safetensors"),
        ("van_x.pth.tar", ".pth.tar"),
    ),
)
def test_only_weights_and_what_describes_them_are_published(
    tmp_path: Path, name: str, ending: str
) -> None:
    file = publish_checkpoint(TRAINED, tmp_path / name)
    assert file.name == f"van_x-{sha256(file.read_bytes()).hexdigest()[:8]}{ending}"
    assert list(tmp_path.iterdir()) == [file]
    published = read_checkpoint(file)
    assert published.keys() == {"state_dict", "meta"}
    assert same(published["state_dict"], TRAINED["state_dict"])
    meta = published["meta"]
    assert (meta["epoch"], meta["layout"]) == ("12", "mmvan")
    assert meta["dataset_meta"] == {"classes": ["cat", "dog"]}
    assert "Arch(embed_dims=(8, 16, 24, 32)" in meta["arch"]
    assert "cfg" not in meta


def test_a_bare_state_dict_is_published_too(tmp_path: Path) -> None:
    weights = {f"module.{key}": value for key, value in classifier().items()}
    published = read_checkpoint(publish_checkpoint({**weights, "epoch": 3}, tmp_path / "van_x"))
    assert same(published["state_dict"], classifier())


def test_nothing_to_publish_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no tensor to publish; the checkpoint holds optim"):
        publish_checkpoint({"optimizer": {}}, tmp_path / "van_x")
    assert list(tmp_path.iterdir()) == []
