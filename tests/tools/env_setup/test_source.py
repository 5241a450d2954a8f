import tarfile
from pathlib import Path

import pytest
from env_setup.shell import SetupError, Shell
from env_setup.source import label_version, prepare_source, raise_standard

SETUP = "args = {'nvcc': ['-std=c++14'], 'cxx': ['-Wall', '-std=c++17']}\n"
CONFIG = "[egg_info]\ntag_build = \ntag_date = 0\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "mmcv-2.1.0"
    folder.mkdir()
    (folder / "setup.py").write_text(SETUP)
    (folder / "setup.cfg").write_text(CONFIG)
    return folder


def test_a_newer_standard_is_set_labelled_and_told(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raise_standard(tree, 20)
    assert (tree / "setup.py").read_text() == SETUP.replace("c++14", "c++20").replace(
        "c++17", "c++20"
    )
    assert "tag_build = +cxx20\n" in (tree / "setup.cfg").read_text()
    printed = capsys.readouterr().out
    assert "C++20 and mmcv says C++17" in printed
    assert "+cxx20" in printed


def test_nothing_is_changed_where_the_standard_is_new_enough(tree: Path) -> None:
    raise_standard(tree, 17)
    assert (tree / "setup.py").read_text() == SETUP
    assert (tree / "setup.cfg").read_text() == CONFIG


def test_an_archive_of_another_form_is_refused(tree: Path) -> None:
    (tree / "setup.py").write_text("setup()\n")
    with pytest.raises(SetupError, match=r"setup\.py names no C\+\+ standard"):
        raise_standard(tree, 20)
    (tree / "setup.cfg").write_text("[egg_info]\ntag_build = dev\n")
    with pytest.raises(SetupError, match="no empty tag_build"):
        label_version(tree / "setup.cfg", "cxx20")


def test_the_archive_is_unpacked_once_and_kept(
    tree: Path, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads: list[tuple[object, ...]] = []

    def pip(name: str, *arguments: object) -> None:
        downloads.append(arguments)
        archives = Path(str(arguments[arguments.index("-d") + 1]))
        archives.mkdir(parents=True)
        with tarfile.open(archives / "mmcv-2.1.0.tar.gz", "w:gz") as archive:
            archive.add(tree, "mmcv-2.1.0")

    monkeypatch.setattr(shell, "pip", pip)
    built = prepare_source(shell, "mmcv==2.1.0", 20, tmp_path / "build")
    assert built == tmp_path / "build" / "mmcv-2.1.0"
    (built / "object.o").touch()
    assert prepare_source(shell, "mmcv==2.1.0", 20, tmp_path / "build") == built
    assert (built / "object.o").exists()
    assert len(downloads) == 1
    assert downloads[0][-1] == "mmcv==2.1.0"
