"""The commands execute nothing that a checkpoint brings along, unless they are told to."""

from pathlib import Path

import pytest

from tests.checkpoint.attacks import nested_call
from tests.tools.workplace import CONFIGS, Workplace

CONFIG = CONFIGS / "classification" / "van_t_in1k_sample.py"
BACKBONE = "model.backbone.init_cfg"


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    (
        ("test.py", CONFIG, "FILE"),
        ("train.py", CONFIG, "--resume", "FILE"),
        ("train.py", CONFIG, "--cfg-options", "load_from=FILE"),
        (
            "train.py",
            CONFIG,
            "--cfg-options",
            f"{BACKBONE}.type=Pretrained",
            f"{BACKBONE}.checkpoint=FILE",
        ),
        ("convert_checkpoint.py", "FILE", "converted.pth", "--to", "mmvan"),
        ("publish_checkpoint.py", "FILE", "published"),
    ),
    ids=("test", "resume", "load_from", "init_cfg", "convert", "publish"),
)
def test_an_attack_is_refused_and_named(
    command: tuple[object, ...], workplace: Workplace, tmp_path: Path
) -> None:
    file, mark = tmp_path / "van.pth", tmp_path / "mark"
    nested_call(file, mark)
    tool, *arguments = (str(part).replace("FILE", str(file)) for part in command)
    message = workplace.refuse(tool, *arguments)
    assert f"checkpoint {file} is refused: it asks for posix.system" in message
    assert "--unsafe" in message
    assert not mark.exists()


@pytest.mark.slow
def test_unsafe_reads_it_and_says_so(workplace: Workplace, tmp_path: Path) -> None:
    file, mark = tmp_path / "van.pth", tmp_path / "mark"
    nested_call(file, mark)
    status, out, err = workplace.run("publish_checkpoint.py", file, tmp_path / "x", "--unsafe")
    assert (status, mark.exists()) == (0, True)
    assert "can execute any code" in out + err
