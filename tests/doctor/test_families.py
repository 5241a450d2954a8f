from importlib import metadata

import pytest

from mmvan.doctor import families
from mmvan.doctor.families import FAMILIES, find_family, installed_version, pinned


def install(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Pretends that exactly these distributions are installed."""

    def version(name: str) -> str:
        if name not in names:
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(metadata, "version", version)


@pytest.mark.parametrize(
    ("installed", "family"),
    (
        (("mmengine", "mmcv"), "official"),
        (("onedl-mmengine",), "onedl"),
        (("mmengine", "onedl-mmcv"), "both"),
        (("torch",), "none"),
    ),
)
def test_family_is_known_by_its_distributions(
    installed: tuple[str, ...], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, *installed)
    assert find_family() == family


def test_this_environment_has_one_whole_family() -> None:
    distributions = FAMILIES[find_family()].values()
    assert all(map(installed_version, distributions))


def test_pins_come_from_the_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    requirements = [
        "numpy",
        'onedl-mmcv==2.3.6; extra == "onedl"',
        'mmcv==2.1.0; extra == "official"',
        'numpy<2; extra == "official"',
    ]
    monkeypatch.setattr(families.metadata, "requires", lambda name: requirements)
    assert pinned("mmcv") == "mmcv==2.1.0"
    assert pinned("onedl-mmcv") == "onedl-mmcv==2.3.6"
    assert pinned("numpy") == "numpy<2"
    assert pinned("triton") == "triton"


def test_without_metadata_the_name_is_the_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(families.metadata, "requires", requires)
    assert pinned("mmcv") == "mmcv"
