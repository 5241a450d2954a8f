"""``--deterministic``: the same bits for the same seed."""

import importlib.util
from pathlib import Path

import pytest
import torch

from mmvan.checkpoint.reading import read_checkpoint
from tests.tools.workplace import CONFIGS, Workplace

CLASSIFIER = CONFIGS / "classification" / "van_t_in1k_sample.py"
# Until samples are drawn by their position, a worker's augmentations depend on how many there are.
BY_POSITION = importlib.util.find_spec("mmvan.engine.checkpoint_hook") is not None


def train(workplace: Workplace, work_dir: Path, workers: int) -> dict[str, torch.Tensor]:
    workplace.succeed(
        *("train.py", CLASSIFIER, "--seed", "3", "--deterministic", "--no-validate"),
        *("--work-dir", work_dir, "--cfg-options", "train_cfg.max_epochs=1"),
        *("train_dataloader.batch_size=5", f"train_dataloader.num_workers={workers}"),
        f"train_dataloader.persistent_workers={workers > 0}",
    )
    return read_checkpoint(work_dir / "epoch_1.pth")["state_dict"]


@pytest.fixture(scope="module")
def expected(
    workplace: Workplace, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, torch.Tensor]:
    return train(workplace, tmp_path_factory.mktemp("first"), 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "workers",
    (
        2,
        *(
            pytest.param(
                workers,
                marks=pytest.mark.skipif(
                    not BY_POSITION, reason="waits for randomness by the sample's position"
                ),
            )
            for workers in (0, 1)
        ),
    ),
)
def test_equal_seeds_give_equal_bits(
    workers: int, expected: dict[str, torch.Tensor], workplace: Workplace, tmp_path: Path
) -> None:
    found = train(workplace, tmp_path, workers)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
