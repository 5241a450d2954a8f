from pathlib import Path

import pytest

from mmvan.checkpoint.reading import read_checkpoint
from tests.tools.test_convert_checkpoint import CONFIG
from tests.tools.workplace import Workplace


@pytest.mark.slow
def test_a_trained_checkpoint_is_published_small_and_evaluates(
    workplace: Workplace, classifier: Path, tmp_path: Path
) -> None:
    said = workplace.succeed("publish_checkpoint.py", classifier, tmp_path / "van_t_sample")
    (file,) = tmp_path.iterdir()
    assert said.startswith(f"{file}: ")
    assert file.suffix == ".safetensors"
    # Without the optimizer's two states per weight and the second weights of averaging.
    assert file.stat().st_size < classifier.stat().st_size / 3
    published = read_checkpoint(file)
    assert len(published["meta"]["dataset_meta"]["classes"]) == 10
    assert published["meta"]["arch"] == "b0"
    assert "accuracy/top1" in workplace.succeed("test.py", CONFIG, file, "--device", "cpu")
