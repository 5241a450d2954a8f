"""Configs for other ports' VAN: the same meaning, or the name of what they need."""

from pathlib import Path

import pytest
import torch
from mmpretrain import models as mmpretrain_models

from mmvan import VAN
from mmvan.errors import ModelError
from mmvan.models.foreign_arguments import FOREIGN

DOCS = Path(__file__).parents[2] / "docs" / "other_libraries.md"
SMALL = {"embed_dims": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "ffn_ratios": [2, 2, 2, 2]}


def test_the_table_in_the_docs_is_the_programs() -> None:
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    assert rows == [f"| `{name}` | {owner} | {ours} |" for name, (owner, ours) in FOREIGN.items()]
    assert rows


@pytest.mark.parametrize("name", FOREIGN)
def test_each_is_refused_with_its_name_here(name: str) -> None:
    with pytest.raises(ModelError, match=f"^{name} is an argument of VAN in ") as error:
        VAN(SMALL, **{name: None})
    assert str(error.value).endswith(FOREIGN[name][1])


def test_an_unknown_argument_is_named_with_the_closest() -> None:
    with pytest.raises(ModelError, match=r"no argument 'drop_path'\. Did you mean drop_path_rate"):
        VAN(SMALL, drop_path=0.1)


@pytest.mark.parametrize("kind", ("LN", "LN2d", torch.nn.LayerNorm))
def test_mmpretrains_norm_of_the_outputs_is_named(kind: object) -> None:
    with pytest.raises(ModelError, match="Here it is called out_norm_cfg"):
        VAN(SMALL, norm_cfg={"type": kind})


def test_a_config_of_mmpretrain_means_the_same() -> None:
    settings = {
        "arch": SMALL,
        "in_channels": 4,
        "drop_rate": 0.1,
        "drop_path_rate": 0.2,
        "out_indices": (1, 3),
        "frozen_stages": 1,
        "norm_eval": True,
    }
    theirs, ours = mmpretrain_models.VAN(**settings), VAN(**settings, out_norm_cfg={"type": "LN"})
    ours.load_state_dict(theirs.state_dict())
    theirs.eval()  # Which returns nothing.
    x = torch.rand(2, 4, 33, 38)
    for one, other in zip(theirs(x), ours.eval()(x), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
