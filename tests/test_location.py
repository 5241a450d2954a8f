"""Where the configs are, installed and in a checkout."""

from pathlib import Path

import pytest

from mmvan import location
from mmvan.errors import ConfigError
from mmvan.location import config_dir
from tests.configs.zoo import CONFIGS, LEAVES


def make_zoo(folder: Path) -> Path:
    (folder / "configs").mkdir(parents=True)
    (folder / "model-index.yml").touch()
    return folder / "configs"


def test_in_a_checkout_the_configs_are_beside_the_package() -> None:
    found = config_dir()
    assert found.samefile(CONFIGS)
    assert len(list(found.rglob("van_*.py"))) >= len(LEAVES) > 52


def test_the_configs_inside_an_installed_package_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(location, "_PACKAGE", tmp_path / "mmvan")
    beside = make_zoo(tmp_path)
    assert config_dir() == beside
    inside = make_zoo(tmp_path / "mmvan" / ".mim")
    assert config_dir() == inside


def test_an_installation_without_configs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(location, "_PACKAGE", tmp_path / "mmvan")
    (tmp_path / "configs").mkdir()  # somebody else's: there is no model index beside it
    with pytest.raises(ConfigError, match=r"mmvan's configs were not found: neither .*\.mim nor"):
        config_dir()
