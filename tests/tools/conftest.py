"""What the tests of the commands share; each pytest worker makes its own."""

from pathlib import Path

import pytest

from tests.tools.workplace import CONFIGS, Workplace


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace(tmp_path_factory.mktemp("work place"))


@pytest.fixture(scope="session")
def classifier(workplace: Workplace) -> Path:
    """The checkpoint of one epoch of the sample classifier: two iterations of ten images."""
    workplace.succeed(
        "train.py",
        CONFIGS / "classification" / "van_t_in1k_sample.py",
        *("--ema", "0.9", "--seed", "1", "--cfg-options"),
        *("train_cfg.max_epochs=1", "train_cfg.val_interval=1", "train_dataloader.batch_size=10"),
    )
    return workplace.root / "work_dirs" / "van_t_in1k_sample" / "epoch_1.pth"
