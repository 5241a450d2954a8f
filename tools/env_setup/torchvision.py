"""torchvision, which mmpretrain imports, also beside a torch without CUDA.

The wheel on the package index is linked to CUDA. Beside a CPU torch its operators do not load, and
two registrations that rely on them make `import torchvision` fail. PyTorch's own CPU wheels come
from another index, which not every machine reaches. Where the plain wheel fails, it is repacked
without its compiled files and with a condition on the two registrations.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from env_setup.machine import Torch
from env_setup.shell import SetupError, Shell, say

LABEL = "mmvan.nocompiled"  # Local version label of the repacked wheel.
COMPILED = ("*.so", "*.so.*", "*.dylib", "*.pyd")
CHECK = """
import torch, torchvision.transforms.functional as F
assert F.resize(torch.zeros(3, 8, 8), [4, 4], antialias=True).shape == (3, 4, 4)
"""


def install_torchvision(shell: Shell, torch: Torch, requirement: str, index: Sequence[str]) -> None:
    """Installs torchvision; beside a CPU torch it is repacked if the plain one fails.

    Args:
        shell: runs the commands.
        torch: the torch that is installed.
        requirement: such as `torchvision==0.28.0`.
        index: pip's arguments for the index that torch came from.

    Raises:
        SetupError: it does not work.
    """
    shell.pip("torchvision", "install", "--no-deps", *index, requirement)
    problem = shell.check(CHECK)
    if problem is None:
        return
    if torch.cuda:
        raise SetupError(f"{requirement} does not work with torch {torch.version}: {problem}")
    say(f"the index's wheel does not work beside torch {torch.version} ({problem}):")
    say(f"repacking it without its compiled files, as version +{LABEL}")
    with tempfile.TemporaryDirectory() as folder:
        wheel = repack(shell, requirement, index, Path(folder))
        shell.pip("torchvision", "install", "--no-deps", "--force-reinstall", wheel)
    if problem := shell.check(CHECK):
        raise SetupError(f"the repacked torchvision does not work: {problem}")


def repack(shell: Shell, requirement: str, index: Sequence[str], folder: Path) -> Path:
    """Downloads torchvision and returns a wheel of it, in `folder`, that needs no compiled file."""
    arguments = ("--no-deps", "--only-binary", ":all:", *index)
    shell.pip("torchvision-download", "download", *arguments, "-d", folder, requirement)
    original = next(folder.glob("torchvision-*.whl"))
    wheel = (shell.python, "-m", "wheel")
    shell.run("torchvision-unpack", *wheel, "unpack", "-d", folder / "tree", original)
    tree = next((folder / "tree").iterdir())
    strip(tree)
    (folder / "repacked").mkdir()
    shell.run("torchvision-pack", *wheel, "pack", "-d", folder / "repacked", tree)
    return next((folder / "repacked").glob("*.whl"))


def strip(tree: Path) -> None:
    """Removes compiled files from an unpacked wheel, and labels its version.

    Raises:
        SetupError: the wheel does not look as expected.
    """
    for pattern in COMPILED:
        for path in tree.rglob(pattern):
            path.unlink()
    registrations = tree / "torchvision" / "_meta_registrations.py"
    registrations.write_text(guard(registrations.read_text("utf-8")), "utf-8")
    info = next(tree.glob("torchvision-*.dist-info"))
    version = info.name[len("torchvision-") : -len(".dist-info")].partition("+")[0] + f"+{LABEL}"
    metadata = (info / "METADATA").read_text("utf-8")
    metadata = re.sub(r"(?m)^Version: .*$", f"Version: {version}", metadata, count=1)
    (info / "METADATA").write_text(metadata, "utf-8")
    info.rename(tree / f"torchvision-{version}.dist-info")


def guard(source: str) -> str:
    """Puts the unconditional registrations under the condition that the others have already.

    Raises:
        SetupError: there is no unconditional registration.
    """
    pattern = r'(?m)^@(torch\.library\.register_fake\("torchvision::\w+"\))$'
    condition = r"@(\1 if torchvision.extension._has_ops() else lambda function: function)"
    guarded, count = re.subn(pattern, condition, source)
    if count == 0:
        raise SetupError("torchvision has no unconditional registration: the repair does not fit")
    return guarded
