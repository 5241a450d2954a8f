"""The page of error messages has them as they are printed."""

import re
from pathlib import Path

import mmengine
import pytest

from tests.docs.commands import PROJECT

PAGE = (PROJECT / "docs" / "troubleshooting.md").read_text()
SITE = Path(mmengine.__file__).parents[1]
# Where the messages of others are: this page must follow when they change.
OTHERS = (
    "mmengine/registry/build_functions.py",
    "mmengine/runner/checkpoint.py",
    "mmdet/__init__.py",
    "torch/serialization.py",
    "torch/nn/modules/batchnorm.py",
    "torch/utils/data/_utils/signal_handling.py",
)
# Of the system, of compiled code, or of Python itself.
NOT_IN_SOURCES = (
    "No module named",
    "operator torchvision::nms does not exist",
    "Address already in use",
    "CUDA out of memory",
    "NotImplementedError",
    "AttributeError",
    "VAN is not in the mmengine::model registry",  # put together: see below
    "DataLoader worker (pid",
    '"roi_align_forward_cuda_kernel"',
)


def messages(section: str) -> list[str]:
    """The messages in the headings of a section."""
    part = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    headings = re.findall(r"^#### (.*)$", part, re.MULTILINE)
    return [message for heading in headings for message in re.findall(r"`([^`]+)`", heading)]


def joined(text: str) -> str:
    """A source text whose strings of several lines are one."""
    return re.sub(r"""["']\s*\n\s*f?["']""", "", text)


def fragments(message: str) -> list[str]:
    return [part.strip() for part in message.split("...") if len(part.strip()) > 3]


@pytest.fixture(scope="module")
def own() -> str:
    return "\n".join(joined(file.read_text()) for file in (PROJECT / "mmvan").rglob("*.py"))


def test_own_messages_are_in_the_sources(own: str) -> None:
    found = messages("What mmvan prints")
    assert len(found) > 10
    parts = [part for message in found for part in fragments(message)]
    assert [part for part in parts if part not in own] == []


def test_messages_of_others_are_in_theirs() -> None:
    sources = "\n".join(joined((SITE / file).read_text()) for file in OTHERS)
    found = messages("What PyTorch and OpenMMLab print")
    known = [message for message in found if not message.startswith(NOT_IN_SOURCES)]
    assert len(known) >= 4
    parts = [part for message in known for part in fragments(message) if "(" not in part]
    assert [part for part in parts if part not in sources] == []


def test_the_registry_says_so() -> None:
    """A message that MMEngine puts together."""
    from mmengine.registry import MODELS

    with pytest.raises(KeyError, match=r"VAN is not in the mmengine::model registry"):
        MODELS.build({"type": "VAN"})
