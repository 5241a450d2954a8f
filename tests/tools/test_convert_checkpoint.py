from pathlib import Path

import pytest
import torch
from transformers.models.deprecated.van.modeling_van import VanForImageClassification

from mmvan.checkpoint.convert import convert_state_dict
from mmvan.checkpoint.layouts import LAYOUTS
from mmvan.checkpoint.reading import read_checkpoint
from tests.checkpoint.test_convert import SMALL, backbone, classifier, same
from tests.tools.workplace import CONFIGS, Workplace

CONFIG = CONFIGS / "classification" / "van_t_in1k_sample.py"
ENDINGS = {
    "official": ".pth.tar",
    "mmseg": ".pth",
    "mmpretrain": ".pth",
    "huggingface": ".safetensors",
    "mmvan": ".bin",
}


@pytest.mark.slow
def test_a_trained_file_goes_round_all_layouts_and_scores_the_same(
    workplace: Workplace, classifier: Path, tmp_path: Path
) -> None:
    assert set(ENDINGS) == {layout.name for layout in LAYOUTS}
    source = classifier
    for layout, ending in ENDINGS.items():
        target = tmp_path / f"{layout}{ending}"
        said = workplace.succeed("convert_checkpoint.py", source, target, "--to", layout)
        assert "10 classes" in said
        assert f"-> {layout}" in said
        source = target
    first, last = (read_checkpoint(file)["state_dict"] for file in (classifier, source))
    assert same(last, convert_state_dict(first, "mmvan").state_dict)
    scores = {
        _accuracy(workplace.succeed("test.py", CONFIG, file, "--device", "cpu"))
        for file in (
            classifier,
            tmp_path / "official.pth.tar",
            tmp_path / "huggingface.safetensors",
        )
    }
    assert len(scores) == 1


def _accuracy(log: str) -> str:
    return log.rpartition("accuracy/top1: ")[2].split()[0]


@pytest.mark.slow
def test_transformers_reads_what_was_written(workplace: Workplace, tmp_path: Path) -> None:
    torch.save({"state_dict": classifier()}, tmp_path / "van.pth")
    for name in ("model.safetensors", "pytorch_model.bin"):
        folder = tmp_path / name.partition(".")[2]
        workplace.succeed(
            "convert_checkpoint.py", tmp_path / "van.pth", folder / name, "--to", "huggingface"
        )
        model = VanForImageClassification.from_pretrained(folder, local_files_only=True)
        assert model.config.hidden_sizes == list(SMALL.embed_dims)
        assert same(convert_state_dict(model.state_dict(), "mmvan").state_dict, classifier())


@pytest.mark.slow
def test_another_entry_can_be_taken(workplace: Workplace, tmp_path: Path) -> None:
    averaged = {key: value + 1 for key, value in backbone().items()}
    torch.save({"state_dict": backbone(), "state_dict_ema": averaged}, tmp_path / "van.pth")
    options = ("--to", "mmvan", "--key", "state_dict_ema")
    workplace.succeed("convert_checkpoint.py", tmp_path / "van.pth", tmp_path / "a.pth", *options)
    assert same(read_checkpoint(tmp_path / "a.pth")["state_dict"], averaged)
    message = workplace.refuse(
        "convert_checkpoint.py",
        tmp_path / "van.pth",
        tmp_path / "b.pth",
        "--to",
        "mmvan",
        "--key=x",
    )
    assert "--key x: SRC has no such dict; it has state_dict, state_dict_ema" in message


@pytest.mark.slow
def test_what_is_there_is_kept_and_other_endings_are_refused(
    workplace: Workplace, tmp_path: Path
) -> None:
    torch.save(backbone(), tmp_path / "van.pth")
    convert = ("convert_checkpoint.py", tmp_path / "van.pth")
    message = workplace.refuse(*convert, tmp_path / "van.pth", "--to", "official")
    assert f"DST {tmp_path / 'van.pth'} exists; --overwrite replaces it" in message
    assert ".safetensors, .pth" in workplace.refuse(*convert, "van.onnx", "--to", "official")
    assert "no such file" in workplace.refuse(convert[0], "gone.pth", "a.pth", "--to", "mmvan")
