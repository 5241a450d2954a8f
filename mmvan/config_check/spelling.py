"""Settings that nothing would read, because their names are misspelt."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from mmengine.config import Config
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from mmvan.config_check.parts import is_known
from mmvan.config_check.shapes import may_be
from mmvan.data.check.detection import ALLOW_EMPTY
from mmvan.errors import did_you_mean

# Keys that MMEngine, its libraries or mmvan read from a config besides the Runner's arguments.
_OTHER_KEYS = (
    ALLOW_EMPTY,
    "activation_checkpointing",
    "auto_scale_lr",
    "compile",
    "custom_imports",
    "default_scope",
    "efficient_conv_bn_eval",
    "find_unused_parameters",
    "runner_type",
    "strategy",
    "sync_bn",
    "tta_model",
    "tta_pipeline",
)
# Parts that are read by these names alone (mmengine.runner.Runner, mmengine.dist, and
# mmengine.optim.DefaultOptimWrapperConstructor).
_PARTS: Mapping[str, tuple[str, ...]] = {
    "auto_scale_lr": ("enable", "base_batch_size"),
    "env_cfg": ("cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"),
    "env_cfg.mp_cfg": ("mp_start_method", "opencv_num_threads"),
    "randomness": ("seed", "diff_rank_seed", "deterministic"),
    "optim_wrapper.paramwise_cfg": (
        "bias_decay_mult",
        "bias_lr_mult",
        "bypass_duplicate",
        "custom_keys",
        "dcn_offset_lr_mult",
        "dwconv_decay_mult",
        "flat_decay_mult",
        "norm_decay_mult",
    ),
}
_CLIPPING: Mapping[str, Callable[..., Any]] = {"norm": clip_grad_norm_, "value": clip_grad_value_}
# A variable of a config may be called alike; a slip of the keyboard is more alike.
_ALIKE = 0.88


@cache
def known_keys() -> tuple[str, ...]:
    """The top-level keys that something reads; a config may hold variables besides."""
    from mmengine.runner import Runner

    return (*list(inspect.signature(Runner.__init__).parameters)[1:], *_OTHER_KEYS)


def spelling_problems(cfg: Config) -> Iterator[str]:
    """Finds keys that are almost those that are read, and parts with keys that nothing reads.

    Args:
        cfg: The whole config.

    Yields:
        One message for each.
    """
    known = known_keys()
    for key in set(cfg.keys()).difference(known):
        close = get_close_matches(key, known, n=1, cutoff=_ALIKE)
        # Variables that most configs have, and those that are named after a key: `model_2`.
        if not close or key.endswith("_pipeline") or key.startswith(close[0]):
            continue
        if may_be(close[0], cfg[key]):
            yield f"{key} is read by nothing. Did you mean {close[0]}?"
    own_constructor = "constructor" in _part(cfg, "optim_wrapper")
    for place, names in _PARTS.items():
        part = _part(cfg, place)
        if place.endswith("paramwise_cfg") and own_constructor:  # which takes keys of its own
            continue
        for key in sorted(map(str, part.keys() - set(names))):
            hint = did_you_mean(key, names)
            if hint:  # what is like none of them is no slip, and does no harm
                yield f"{place}.{key} is read by nothing.{hint}"
    wrapper = _part(cfg, "optim_wrapper").get("type", "OptimWrapper")
    if is_known(wrapper, cfg.default_scope):
        yield from _clipping_problems(_part(cfg, "optim_wrapper.clip_grad"))


def _clipping_problems(settings: Mapping[str, Any]) -> Iterator[str]:
    if not settings:
        return
    kind = settings.get("type", "norm")
    if kind not in _CLIPPING:
        yield f"optim_wrapper.clip_grad.type is {kind!r}; expected 'norm' or 'value'"
        return
    names = list(inspect.signature(_CLIPPING[kind]).parameters)[1:]
    for key in sorted(map(str, settings.keys() - {"type", *names})):
        hint = did_you_mean(key, names) or f" It takes {', '.join(names)}."
        function = _CLIPPING[kind].__name__
        yield f"optim_wrapper.clip_grad.{key}: {function} has no such argument.{hint}"


def _part(cfg: Config, place: str) -> Mapping[str, Any]:
    node: Any = cfg
    for name in place.split("."):
        node = node.get(name) if hasattr(node, "get") else None
    return node if isinstance(node, Mapping) else {}
