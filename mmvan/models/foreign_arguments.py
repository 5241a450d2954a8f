"""What the arguments of other ports of VAN are called here.

A config that was written for another port and changed in its ``type`` alone either means the same
or ends with the name of the argument that it needs: docs/other_libraries.md has the same table.
"""

from collections.abc import Mapping
from typing import Any

from mmvan.errors import ModelError, did_you_mean
from mmvan.type_name import type_name

# Those that are not arguments of mmvan.VAN: whose they are, and what to write instead.
FOREIGN: Mapping[str, tuple[str, str]] = {
    "block_cfgs": (
        "mmpretrain",
        "act_cfg, norm_cfg, lka_cfg and layer_scale_init_value, the same for all blocks",
    ),
    "patch_sizes": ("mmpretrain, transformers", "nothing: they are 7, 3, 3, 3 as published"),
    "embed_dims": ("mmseg's project", "arch=dict(embed_dims=..., depths=..., ffn_ratios=...)"),
    "depths": ("mmseg's project, transformers", "arch=dict(embed_dims=..., depths=...)"),
    "mlp_ratios": ("mmseg's project, transformers", "arch=dict(..., ffn_ratios=...)"),
    "num_stages": ("mmseg's project", "out_indices: stages after the last one are not built"),
    "img_size": ("mmseg's project", "nothing: any height and width work"),
    "in_chans": ("mmseg's project, timm", "in_channels"),
    "pretrained": ("mmseg's project", "init_cfg=dict(type='Pretrained', checkpoint=...)"),
    "num_classes": ("the authors, timm", "the head's num_classes; a backbone has no classes"),
    "num_channels": ("transformers", "in_channels"),
    "hidden_sizes": ("transformers", "arch=dict(embed_dims=..., depths=...)"),
    "strides": ("transformers", "nothing: they are 4, 2, 2, 2 as published"),
    "hidden_act": ("transformers", "act_cfg=dict(type='GELU')"),
    "layer_norm_eps": ("transformers", "out_norm_cfg=dict(type='LN', eps=...)"),
    "dropout_rate": ("transformers", "drop_rate"),
    "image_size": ("transformers", "nothing: any height and width work"),
}
_OUTPUT_NORMS = ("LN", "LN2d", "LayerNorm", "LayerNorm2d")


def refuse_foreign(arguments: Mapping[str, Any], known: list[str]) -> None:
    """Name what a foreign argument is called here.

    Args:
        arguments: Those that the backbone does not have.
        known: The names of those that it has.

    Raises:
        ModelError: There are any.
    """
    for name in arguments:
        if name in FOREIGN:
            owner, ours = FOREIGN[name]
            raise ModelError(f"{name} is an argument of VAN in {owner}. mmvan.VAN has {ours}")
        raise ModelError(f"mmvan.VAN has no argument {name!r}.{did_you_mean(name, known)}")


def refuse_output_norm(norm_cfg: Mapping[str, Any] | None) -> None:
    """Refuse a norm that only mmpretrain's VAN means by ``norm_cfg``.

    Raises:
        ModelError: It normalises over channels, as that of the stage outputs does.
    """
    if norm_cfg and type_name(norm_cfg) in _OUTPUT_NORMS:
        raise ModelError(
            f"norm_cfg={dict(norm_cfg)} is that of the stage outputs in mmpretrain's VAN. Here it "
            "is called out_norm_cfg; norm_cfg is that inside the stages, such as dict(type='BN')"
        )
