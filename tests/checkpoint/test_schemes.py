"""The addresses that MMEngine reads through this package."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import safetensors.torch
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from mmvan.checkpoint.schemes import (
    add_hub_scheme,
    load_from_hf,
    locate,
    use_safe_loaders,
)
from mmvan.errors import CheckpointError
from tests.checkpoint.test_download import checkpoint
from tests.checkpoint.web import Web
from tests.forks import forked_python

HUB_RUN = """
import json, sys
from mmengine.runner.checkpoint import CheckpointLoader
from mmvan.checkpoint.schemes import use_safe_loaders
from mmvan.errors import CheckpointError
use_safe_loaders()
for address in sys.argv[1:]:
    try:
        loaded = CheckpointLoader.load_checkpoint(address)
        print("GOT", json.dumps(float(loaded.get("state_dict", loaded)["a"][0])))
    except CheckpointError as error:
        print("GOT", json.dumps(str(error)))
"""


ONE_LINE = """
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader
Config.fromfile("config.py")
print({prefix: loader.__module__ for prefix, loader in CheckpointLoader._schemes.items()})
"""


@pytest.fixture
def schemes_of_mmengine() -> Iterator[dict[str, object]]:
    """MMEngine's table of loaders; it is as before after the test."""
    before = dict(CheckpointLoader._schemes)
    yield CheckpointLoader._schemes
    CheckpointLoader._schemes.clear()
    CheckpointLoader._schemes.update(before)


def test_a_guest_adds_the_hub_and_replaces_nothing(schemes_of_mmengine: dict[str, object]) -> None:
    add_hub_scheme()
    before = dict(schemes_of_mmengine)
    assert before["hf://"] is load_from_hf
    others = {prefix: load.__module__ for prefix, load in before.items() if prefix != "hf://"}
    assert set(others.values()) == {"mmengine.runner.checkpoint"}
    theirs = schemes_of_mmengine["hf://"] = lambda *_: {}
    add_hub_scheme()
    assert schemes_of_mmengine["hf://"] is theirs


@pytest.mark.smoke
@pytest.mark.usefixtures("schemes_of_mmengine")
def test_one_line_makes_a_process_read_safely(web: Web, cache: Path, tmp_path: Path) -> None:
    use_safe_loaders()
    web.files = {"/van.pth": checkpoint(4.0)}
    (tmp_path / "own.pth").write_bytes(checkpoint(5.0))
    fetched = CheckpointLoader.load_checkpoint(f"{web.address}/van.pth", map_location="cpu")
    local = CheckpointLoader.load_checkpoint(str(tmp_path / "own.pth"))
    assert (fetched["a"][0], local["a"][0]) == (4, 5)
    assert locate(f"{web.address}/van.pth") == cache / "van.pth"
    assert locate("own.pth") == Path("own.pth")


def test_one_line_of_a_config_makes_a_process_read_safely(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text()
    (line,) = (line for line in page.splitlines() if line.startswith("custom_imports"))
    (tmp_path / "config.py").write_text(line)
    command = (forked_python(), "-c", ONE_LINE)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    loaders = ast.literal_eval(done.stdout.splitlines()[-1])
    ours = {prefix for prefix, module in loaders.items() if module == "mmvan.checkpoint.schemes"}
    assert ours == {"", "http://", "https://", "hf://"}


def load_from_hub(web: Web, home: Path, *addresses: str) -> list[object]:
    """Load in a process of its own: the address of the hub is read when it is imported."""
    environment = {
        "HF_ENDPOINT": web.address,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", HUB_RUN, *addresses],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("GOT ")]
    assert len(lines) == len(addresses), done.stdout
    return [json.loads(line.removeprefix("GOT ")) for line in lines]


@pytest.mark.slow
def test_the_hub_is_read_and_its_files_verified(web: Web, tmp_path: Path) -> None:
    content = safetensors.torch.save({"a": torch.full((9,), 6.0)})
    names = ("van-tiny/resolve/main/model.safetensors", "van-base/resolve/v1/weights/b2.pth")
    web.files = {
        f"/org/{names[0]}": content,
        f"/org/{names[1]}": checkpoint(7.0),
        "/org/van-large/resolve/main/pytorch_model.bin": checkpoint(8.0),
    }
    web.headers = {"X-Repo-Commit": "c" * 40, "ETag": f'"{sha256(content).hexdigest()}"'}
    web.missing = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": "c" * 40}
    addresses = ("hf://org/van-tiny", "hf://org/van-base@v1/weights/b2.pth")
    first, wrong = load_from_hub(web, tmp_path, *addresses)
    assert first == 6
    # The server gives every file the hash of the first one, which the second one has not.
    assert "is damaged. Remove " in str(wrong)

    web.headers["ETag"] = '"small-file"'
    got = load_from_hub(web, tmp_path, "hf://org/van-large", "hf://org/van-none")
    assert got == [
        8,
        "hf://org/van-none: org/van-none has no file model.safetensors or pytorch_model.bin",
    ]


@pytest.mark.slow
def test_an_unknown_repository_is_named(web: Web, tmp_path: Path) -> None:
    web.missing = {"X-Error-Code": "RepoNotFound"}
    (message,) = load_from_hub(web, tmp_path, "hf://org/van-tiny")
    assert str(message).startswith("hf://org/van-tiny/model.safetensors cannot be fetched: ")


@pytest.mark.parametrize("address", ("hf://van-tiny", "hf://", "hf://org/van tiny"))
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(CheckpointError, match=r"not an address of the form hf://owner/name"):
        locate(address)
