"""What the tests of exporting share; each pytest worker makes its own."""

from pathlib import Path

import pytest

from tests.deploy.small import OVERRIDES, write_checkpoint_of


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return {task: write_checkpoint_of(task, folder) for task in OVERRIDES}
