"""What the package imports is declared, and the files beside it say the same as the project."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from env_setup.pins import package_name, read_project

from mmvan.version import __version__

ROOT = Path(__file__).parents[1]
PROJECT = read_project(ROOT / "pyproject.toml")
# Import names that are not their distribution's.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python",
    "mmseg": "mmsegmentation",
    "pkg_resources": "setuptools",
    "pytorch_grad_cam": "grad-cam",
    "yaml": "pyyaml",
}
# MMDeploy's own pins cannot be met beside ONNX: docs/deploy.md says how it is installed.
UNDECLARED = {"mmdeploy"}
# Of an extra, and imported wherever the module that needs them is: each family brings its own
# frameworks, and a torch for GPUs its triton.
FAMILY = {"mmengine", "mmcv", "mmdet", "triton"}


def imports(file: Path) -> Iterator[tuple[str, bool]]:
    """The distributions that a file imports, and whether whenever the file is imported."""
    tree = ast.parse(file.read_text())
    always = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module]
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "need"
            and isinstance(node.args[0], ast.Constant)
        ):
            names = [str(node.args[0].value)]  # mmvan.deploy.packages.need("onnx", ...)
        for name in names:
            module = name.partition(".")[0]
            if module not in sys.stdlib_module_names and module != "mmvan":
                yield package_name(DISTRIBUTIONS.get(module, module)), id(node) in always


def every_import() -> dict[str, bool]:
    """Each distribution, and whether some file imports it whenever it is imported."""
    found: dict[str, bool] = {}
    for file in sorted((ROOT / "mmvan").rglob("*.py")):
        for name, always in imports(file):
            found[name] = found.get(name, False) or always
    return found


def test_all_that_is_imported_is_declared() -> None:
    needed = {package_name(line) for line in PROJECT["dependencies"]}
    extras = PROJECT["optional-dependencies"].values()
    declared = needed.union(package_name(line) for lines in extras for line in lines)
    found = every_import()
    assert len(found) > 20
    assert set(found) - declared == UNDECLARED
    assert {name for name, always in found.items() if always} - needed == FAMILY


def test_nothing_is_declared_that_is_not_imported() -> None:
    needed = {package_name(line) for line in PROJECT["dependencies"]}
    assert needed - set(every_import()) == set()


def test_an_import_that_is_not_declared_would_be_found(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("import os\nimport nowhere.b\ndef f():\n    from PIL import Image\n")
    assert dict(imports(file)) == {"nowhere": True, "pillow": False}


def test_no_extra_brings_another_opencv() -> None:
    """Both distributions write the same files: what is installed last is what is imported."""
    extras = PROJECT["optional-dependencies"]
    pins = {pin for lines in extras.values() for pin in lines if pin.startswith("opencv-python")}
    assert {pin.partition("==")[2] for pin in pins} == {"4.11.0.86"}
    # grad-cam asks for the headless one, without a version.
    for name, lines in extras.items():
        brings = any(package_name(line) == "grad-cam" for line in lines)
        assert not brings or "opencv-python-headless==4.11.0.86" in lines, name


def test_the_hooks_are_the_checks_of_make_lint() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert lint
    commands = [line.strip().removeprefix("$(BIN)/") for line in lint[1].splitlines()]
    assert [hook.replace(" --force-exclude", "") for hook in hooks] == [
        command.removesuffix(" .") for command in commands
    ]


@pytest.mark.parametrize("key", ("cff-version", "message", "title", "authors", "version"))
def test_the_citation_has_what_its_format_asks_for(key: str) -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation[key]
    assert citation["version"] == __version__
    assert citation["preferred-citation"]["title"] == "Visual Attention Network"
