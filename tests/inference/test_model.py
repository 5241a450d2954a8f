import pytest

from mmvan.errors import CheckpointError, ConfigError
from mmvan.inference.model import find_checkpoint, find_config, split_checkpoint


@pytest.mark.parametrize("weights", ("a.pth", "hf://me/van", "https://x.org/v", "m.safetensors"))
def test_the_checkpoint_is_told_from_the_inputs(weights: str) -> None:
    assert split_checkpoint([weights, "a.jpg"]) == (weights, ["a.jpg"])
    assert split_checkpoint(["a.jpg", weights]) == (None, ["a.jpg", weights])


def test_only_names_have_published_weights() -> None:
    assert find_checkpoint("van_t_in1k", "own.pth") == "own.pth"
    assert "van" in find_checkpoint("van_t_in1k", None)
    with pytest.raises(CheckpointError, match=r"CHECKPOINT is missing.*work_dirs/my_van/"):
        find_checkpoint("configs/my_van.py", None)
    with pytest.raises(CheckpointError, match="no weights are published under van_t_maskrcnn"):
        find_checkpoint("van_t_maskrcnn", None)


def test_a_name_that_is_none_has_a_hint() -> None:
    assert find_config("van_t_in1k").default_scope == "mmpretrain"
    with pytest.raises(ConfigError, match=r"van_t_in1kk: neither .* Did you mean van_t_in1k"):
        find_config("van_t_in1kk")
