"""What the distributions contain, and that `mim` finds it however the package is installed."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEAF = "van_t_in1k_sample.py"
FILES = ("LICENSE", "MANIFEST.in", "README.md", "model-index.yml", "pyproject.toml", "setup.py")
PARTS = ("configs", "tools", "mmvan", *FILES)
FIND = """
import sys
from mim.utils import get_installed_path, recursively_find
root = get_installed_path("mmvan")
print(root)
print(*recursively_find(root, sys.argv[1], followlinks=True))
"""


def run(*command: object, cwd: Path) -> str:
    """Runs a command and returns what it prints; its errors are shown when it fails."""
    arguments = [str(argument) for argument in command]
    wide = {**os.environ, "COLUMNS": "1000"}  # Help is not wrapped.
    result = subprocess.run(
        arguments, cwd=cwd, capture_output=True, text=True, check=False, env=wide
    )
    assert result.returncode == 0, f"{arguments}:\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result.stdout


def copy_source(tmp_path: Path) -> Path:
    """A copy of the source tree, so that building leaves nothing in the real one."""
    tree = tmp_path / "source"
    tree.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", ".mim")
    for part in filter(Path.exists, (ROOT / name for name in PARTS)):
        if part.is_dir():
            shutil.copytree(part, tree / part.name, ignore=ignore)
        else:
            shutil.copy(part, tree)
    return tree


def make_environment(tmp_path: Path) -> Path:
    """The interpreter of an empty environment that sees the packages of this one."""
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    (site_of(python) / "outer.pth").write_text(sysconfig.get_path("purelib"))
    return python


def site_of(python: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(run(python, "-c", code, cwd=python.parent).strip())


def build(source: Path, hook: str) -> Path:
    """Calls a hook of the build backend and returns the file that it made."""
    code = f"from setuptools import build_meta; print(build_meta.build_{hook}('.'))"
    return source / run(sys.executable, "-c", code, cwd=source).splitlines()[-1]


def install(python: Path, source: Path, *what: object) -> None:
    """Installs the package, whatever version of it the outer environment has."""
    options = ("--no-deps", "--no-build-isolation", "--ignore-installed", "--no-index", "--quiet")
    pip = (sys.executable, "-m", "pip", "--python", python, "install")
    run(*pip, *options, *what, cwd=source)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Of each test's own, to change it and to build in it."""
    return copy_source(tmp_path)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Of each test's own, to install into it."""
    return make_environment(tmp_path)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(copy_source(tmp_path_factory.mktemp("built")), "wheel")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that the wheel was installed into."""
    python = make_environment(tmp_path_factory.mktemp("installed"))
    install(python, wheel.parent, wheel)
    return python


@pytest.fixture(scope="module")
def trainable(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sample data that the installed package has made."""
    folder = tmp_path_factory.mktemp("trainable")
    root = Path(run(installed, "-c", FIND, LEAF, cwd=folder).split()[0])
    prepare = root / ".mim" / "tools" / "prepare_sample_data.py"
    run(installed, prepare, "--task", "cls", "--size", 4, 2, cwd=folder)
    return folder


def relative_files(folder: Path) -> set[str]:
    """Returns the files below a folder, without bytecode, as the archives name them."""
    paths = (path.relative_to(folder.parent) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if path.suffix != ".pyc"}


def test_wheel_has_package_configs_and_tools(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    configs, tools = relative_files(ROOT / "configs"), relative_files(ROOT / "tools")
    assert len(configs) > 30
    assert {f"mmvan/.mim/{name}" for name in configs | tools} <= names
    kinds = (".py", ".c", ".yml", "py.typed")
    files = relative_files(ROOT / "mmvan")
    modules = {name for name in files if name.endswith(kinds) and "/.mim/" not in name}
    assert {Path(name).suffix for name in modules} == {".py", ".c", ".yml", ".typed"}
    assert {name for name in names if name.startswith("mmvan/")} >= modules
    assert not any(name.startswith(("tests/", "configs/", "tools/")) for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_a_second_build_does_not_keep_removed_configs(source: Path) -> None:
    build(source, "wheel")
    (source / "configs" / "classification" / LEAF).unlink()
    with zipfile.ZipFile(build(source, "wheel")) as file:
        names = file.namelist()
    assert f"mmvan/.mim/configs/classification/{LEAF}" not in names
    assert "mmvan/.mim/tools/train.py" in names


def test_a_wheel_from_the_source_distribution_is_complete(
    source: Path, wheel: Path, tmp_path: Path
) -> None:
    with tarfile.open(build(source, "sdist")) as file:
        file.extractall(tmp_path / "unpacked", filter="data")
    unpacked = next((tmp_path / "unpacked").iterdir())
    with zipfile.ZipFile(wheel) as direct:
        names = set(direct.namelist())
    with zipfile.ZipFile(build(unpacked, "wheel")) as indirect:
        assert set(indirect.namelist()) == names


def assert_commands_are_found(python: Path, package: Path, cwd: Path) -> None:
    """By ``mim`` and in the environment's programs, for the package that was installed there."""
    root, *found = run(python, "-c", FIND, LEAF, cwd=cwd).split()
    assert package in Path(root).parents
    assert [Path(path).name for path in found] == [LEAF]
    train = Path(root, ".mim", "tools", "train.py")
    assert train.read_text() == (ROOT / "tools" / "train.py").read_text()
    assert train.parent.is_symlink() is (package.name == "source")
    help_text = run(python, train, "--help", cwd=cwd)
    assert "--launcher" in help_text
    command = run(python.with_name("mmvan"), "train", "--help", cwd=cwd)
    assert command == help_text.replace("usage: train.py", "usage: mmvan train")


def test_mim_finds_tools_and_configs_of_a_wheel(installed: Path, tmp_path: Path) -> None:
    assert_commands_are_found(installed, installed.parent.parent, tmp_path)


def test_a_folder_is_installed_as_its_wheel(
    source: Path, environment: Path, installed: Path
) -> None:
    """Where every file is the same, `mim` finds the same."""
    install(environment, source, source)
    package, expected = (site_of(python) / "mmvan" for python in (environment, installed))
    assert relative_files(package) == relative_files(expected)
    assert len(relative_files(package / ".mim" / "configs")) > 30
    for name in relative_files(package):
        assert (package.parent / name).read_bytes() == (expected.parent / name).read_bytes()
    programs = [python.with_name("mmvan").read_text() for python in (environment, installed)]
    assert [text.partition("\n")[2] for text in programs] == [programs[0].partition("\n")[2]] * 2


def test_an_installed_package_knows_its_models(installed: Path, tmp_path: Path) -> None:
    code = "import mmvan; from mmvan.zoo import config_dir; print(config_dir());"
    listed = "print(*mmvan.list_models('van_b_upernet*'), len(mmvan.list_models()))"
    folder, names = run(installed, "-c", code + listed, cwd=tmp_path).splitlines()
    assert Path(folder).parts[-3:] == ("mmvan", ".mim", "configs")
    assert installed.parent.parent in Path(folder).parents
    assert names == "van_b_upernet 71"


def test_mim_finds_an_editable_install_which_follows_its_source(
    source: Path, environment: Path, tmp_path: Path
) -> None:
    install(environment, source, "-e", source)
    assert_commands_are_found(environment, source, tmp_path)
    (source / "configs" / "new_leaf.py").touch()
    assert run(environment, "-c", FIND, "new_leaf.py", cwd=tmp_path).split()[1:] == [
        str(source / "mmvan" / ".mim" / "configs" / "new_leaf.py")
    ]
    version = run(environment, "-c", "import mmvan; print(mmvan.__file__)", cwd=tmp_path)
    assert Path(version.strip()) == source / "mmvan" / "__init__.py"


@pytest.mark.slow
@pytest.mark.parametrize("arguments", (("--gpus", 0), ("--gpus", 2, "--launcher", "pytorch")))
def test_mim_trains(
    arguments: tuple[object, ...], installed: Path, trainable: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    settings = ("train_cfg.max_epochs=1", "train_dataloader.batch_size=4")
    options = ("--work-dir", work, "--device", "cpu", "--cfg-options", *settings)
    mim = (installed, "-m", "mim", "train", "mmvan", LEAF)
    output = run(*mim, *arguments, *options, cwd=trainable)
    assert "Training finished successfully" in output
    processes = 2 if "pytorch" in arguments else 1
    scalars = next(work.rglob("scalars.json")).read_text().splitlines()
    assert (work / "epoch_1.pth").stat().st_size > 1e6
    assert any("accuracy/top1" in line for line in scalars)
    assert f"[{40 // 4 // processes}/{40 // 4 // processes}]" in output
