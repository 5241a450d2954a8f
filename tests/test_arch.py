"""The table of architectures and its names."""

from typing import Any

import pytest

from mmvan.arch import ALIASES, ARCHS, Arch, get_arch
from mmvan.errors import ModelError

PUBLISHED = {
    "b0": ("tiny", "t"),
    "b1": ("small", "s"),
    "b2": ("base", "b"),
    "b3": ("large", "l"),
    "b4": ("huge", "h"),
    "b5": (),
    "b6": (),
}


@pytest.mark.smoke
def test_every_published_name_is_known() -> None:
    assert {name: {a for a, b in ALIASES.items() if b == name} for name in ARCHS} == {
        name: set(aliases) for name, aliases in PUBLISHED.items()
    }
    for name, aliases in PUBLISHED.items():
        assert {id(get_arch(alias)) for alias in (name, name.upper(), *aliases)} == {
            id(ARCHS[name])
        }


def test_a_dict_makes_an_arch_of_any_number_of_stages() -> None:
    arch = get_arch({"embed_dims": [8, 16], "depths": [1, 2], "ffn_ratios": [4, 2]})
    assert arch == Arch((8, 16), (1, 2), (4, 2))
    assert get_arch({"embed_dims": [8] * 4, "depths": [1] * 4}).ffn_ratios == (8, 8, 4, 4)


@pytest.mark.parametrize(
    ("arch", "message"),
    (
        ("b7", r"unknown arch 'b7': choose from \['b0', .*'huge'\]"),
        (3, "a name or a dict, got int: 3"),
        ({"depths": [1]}, r"missing \['embed_dims'\], unknown \[\]"),
        ({"embed_dims": [8], "depths": [1], "dims": 1}, r"unknown \['dims'\]"),
        ({"embed_dims": 8, "depths": [1]}, "'embed_dims'] must be a list"),
        ({"embed_dims": [8, 0], "depths": [1, 1]}, "positive integers, got \\(8, 0\\)"),
        ({"embed_dims": [8], "depths": [1]}, "one entry per stage"),
    ),
)
def test_a_wrong_arch_is_explained(arch: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        get_arch(arch)
