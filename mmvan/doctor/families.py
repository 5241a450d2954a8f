"""The two framework families, and which of them is installed."""

import contextlib
import re
from importlib import metadata

# Distributions per import name. Both families have the same import names: only one can be there.
FAMILIES = {
    "official": {
        "mmengine": "mmengine",
        "mmcv": "mmcv",
        "mmpretrain": "mmpretrain",
        "mmdet": "mmdet",
        "mmseg": "mmsegmentation",
    },
    "onedl": {
        "mmengine": "onedl-mmengine",
        "mmcv": "onedl-mmcv",
        "mmpretrain": "onedl-mmpretrain",
        "mmdet": "onedl-mmdetection",
        "mmseg": "onedl-mmsegmentation",
    },
}


def installed_version(distribution: str) -> str:
    """Returns the version of a distribution, or an empty string if it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def find_family() -> str:
    """Returns ``official``, ``onedl``, ``none`` or ``both``, by the installed distributions."""
    found = [
        name for name, parts in FAMILIES.items() if any(map(installed_version, parts.values()))
    ]
    if len(found) > 1:
        return "both"
    return found[0] if found else "none"


def pinned(distribution: str) -> str:
    """Returns mmvan's own requirement of a distribution, or its bare name if there is none."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        for requirement in metadata.requires("mmvan") or []:
            if (
                re.match(rf"{re.escape(distribution)}(?![\w-])", requirement)
                and "extra" in requirement
            ):
                return requirement.partition(";")[0].strip()
    return distribution
