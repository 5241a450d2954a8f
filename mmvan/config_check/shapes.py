"""Settings of the wrong kind: text where a dictionary must be, and the like."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from mmengine.config import Config

from mmvan.config_check.nodes import nodes_of
from mmvan.config_check.parts import is_known, parts_of

_Kinds: TypeAlias = tuple[type, ...]
_DICT: _Kinds = (Mapping,)
_TEXT: _Kinds = (str,)
_LIST: _Kinds = (list, tuple)
_DICT_OR_LIST: _Kinds = (Mapping, list, tuple)
_NAMES: _Kinds = (list, tuple, set)
_WORDS: Mapping[_Kinds, str] = {
    _DICT: "a dict",
    _TEXT: "text",
    _DICT_OR_LIST: "a dict or a list of them",
    _LIST: "a list of dicts",
    _NAMES: "a list of names",
    (*_TEXT, *_LIST): "text or a list of texts",
}
# Of the top level; None is allowed for all.
_TOP: Mapping[str, _Kinds] = {
    "model": _DICT,
    "train_dataloader": _DICT,
    "val_dataloader": _DICT,
    "test_dataloader": _DICT,
    "train_cfg": _DICT,
    "val_cfg": _DICT,
    "test_cfg": _DICT,
    "optim_wrapper": _DICT,
    "param_scheduler": _DICT_OR_LIST,
    "val_evaluator": _DICT_OR_LIST,
    "test_evaluator": _DICT_OR_LIST,
    "default_hooks": _DICT,
    "custom_hooks": _LIST,
    "env_cfg": _DICT,
    "randomness": _DICT,
    "auto_scale_lr": _DICT,
    "visualizer": _DICT,
    "log_processor": _DICT,
}
# Of models.
_PARTS: Mapping[str, _Kinds] = {
    "backbone": _DICT,
    "neck": _DICT_OR_LIST,
    "head": _DICT_OR_LIST,
    "bbox_head": _DICT_OR_LIST,
    "decode_head": _DICT_OR_LIST,
    "rpn_head": _DICT_OR_LIST,
    "roi_head": _DICT_OR_LIST,
    "data_preprocessor": _DICT,
}
# Of train_cfg and test_cfg of the libraries' models.
_STAGES: Mapping[str, _Kinds] = {
    **dict.fromkeys(("rpn", "rcnn"), _DICT_OR_LIST),
    **dict.fromkeys(("rpn_proposal", "assigner", "sampler", "nms"), _DICT),
}
# Of loaders and optimizers, wherever they have it; None is allowed for all.
_INNER: Mapping[str, _Kinds] = {
    "dataset": _DICT,
    "datasets": _LIST,
    "sampler": _DICT,
    "batch_sampler": _DICT,
    "pipeline": _LIST,
    "metainfo": _DICT,
    "meta_keys": _NAMES,
    "algorithm_keys": _NAMES,
    "ann_file": _TEXT,
    "data_root": _TEXT,
    "data_prefix": (*_DICT, *_TEXT),
    "filter_cfg": _DICT,
    "backend_args": _DICT,
    "optimizer": _DICT,
    "paramwise_cfg": _DICT,
    "custom_keys": _DICT,
    "clip_grad": _DICT,
    "mp_cfg": _DICT,
    "dist_cfg": _DICT,
    "mp_start_method": _TEXT,
    "backend": _TEXT,
    "save_best": (*_TEXT, *_LIST),
    "metric": (*_TEXT, *_LIST),
}
# Lists of what is built.
_TYPED = ("custom_hooks", "param_scheduler", "val_evaluator", "test_evaluator")
# By what in paramwise_cfg; custom_keys multiply the learning rate by 1 if by nothing else.
_MULTIPLIED = {"weight_decay": ("decay_mult",), "lr": ("lr_mult", "custom_keys")}
# What the parts under these keys cannot do without.
_NEEDED = {
    "model": ("type",),
    "train_dataloader": ("dataset", "sampler"),
    "val_dataloader": ("dataset", "sampler"),
    "test_dataloader": ("dataset", "sampler"),
    "optim_wrapper": ("optimizer",),
}


def shape_problems(cfg: Config, keys: Sequence[str]) -> Iterator[str]:
    """Finds settings that are no dictionary, list or text, where only one of these can be read.

    Args:
        cfg: The whole config.
        keys: The top-level keys that will be used.

    Yields:
        One message for each. As long as there is any, nothing else can be checked.
    """
    for key in keys:
        value = cfg.get(key)
        yield from _problem(key, value, _TOP.get(key))
        yield from _missing(key, value)
        if key != "model":
            yield from _inner_problems(key, value, cfg.default_scope)
        elif isinstance(value, Mapping):  # inside of which all is the classes' own
            for name, part in value.items():
                yield from _problem(f"model.{name}", part, _PARTS.get(name))
            yield from _stage_problems(value, cfg.default_scope)


def may_be(key: str, value: Any) -> bool:
    """Whether a value is of the kind that a top-level key has.

    Args:
        key: The key.
        value: The value.
    """
    return key not in _TOP or value is None or isinstance(value, _TOP[key])


def _inner_problems(key: str, value: Any, scope: str) -> Iterator[str]:
    constructor = value.get("constructor") if isinstance(value, Mapping) else None
    own = constructor is not None and not is_known(constructor, scope)
    for node in parts_of(key, value, scope):
        if node.foreign:
            continue
        for name, inner in node.settings.items():
            kinds = _DICT if node.key == "default_hooks" else _INNER.get(name)
            kinds = _TEXT if node.key.endswith(".data_prefix") else kinds
            kinds = _DICT if node.key.endswith(".custom_keys") and not own else kinds
            yield from _problem(f"{node.key}.{name}", inner, kinds)


def _stage_problems(model: Mapping[str, Any], scope: str) -> Iterator[str]:
    if not is_known(model.get("type"), scope):
        return
    for key in ("train_cfg", "test_cfg"):
        for node in nodes_of(f"model.{key}", model.get(key)):
            for name, value in node.settings.items():
                yield from _problem(f"{node.key}.{name}", value, _STAGES.get(name))


def _problem(key: str, value: Any, kinds: _Kinds | None) -> Iterator[str]:
    if kinds and value is not None and not isinstance(value, kinds):
        expected = _WORDS.get(kinds, "a dict or text")
        yield f"{key} is {value!r}; expected {expected}"
    elif kinds in (_LIST, _DICT_OR_LIST) and isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            # A pipeline may hold functions.
            if not isinstance(part, Mapping) and not callable(part):
                yield f"{key}[{index}] is {part!r}; expected a dict"


def _missing(key: str, value: Any) -> Iterator[str]:
    if key in _TYPED and isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            if isinstance(part, Mapping) and "type" not in part:
                yield f"{key}[{index}] has no type; it has {_listed(part)}"
    if not isinstance(value, Mapping):
        return
    for name in _NEEDED.get(key, ()):
        # Without a sampler, PyTorch takes the images in order.
        lacks = name not in value if name == "sampler" else value.get(name) is None
        own = name == "optimizer" and value.get("constructor") is not None
        if lacks and not own:
            yield f"{key} has no {name}; it has {_listed(value)}"
    if key == "optim_wrapper":
        yield from _missing_bases(value)
    if key.endswith("_dataloader"):
        sampler = value.get("batch_sampler")
        inner = sampler.get("batch_size") if isinstance(sampler, Mapping) else None
        if value.get("batch_size") is None and inner is None:
            yield f"{key} has no batch_size; it has {_listed(value)}"


def _missing_bases(value: Mapping[str, Any]) -> Iterator[str]:
    """Factors of a weight decay or learning rate, where MMEngine's constructor finds none."""
    optimizer, factors = value.get("optimizer"), value.get("paramwise_cfg")
    if value.get("constructor") or not isinstance(optimizer, Mapping):
        return
    names = [str(name) for node in nodes_of("", factors) for name in node.settings]
    for base, endings in _MULTIPLIED.items():
        factor = next((name for name in names if name.endswith(endings)), None)
        if factor and base not in optimizer:
            yield (
                f"optim_wrapper.optimizer has no {base}, which paramwise_cfg multiplies by "
                f"{factor}; it has {_listed(optimizer)}"
            )


def _listed(part: Mapping[str, Any]) -> str:
    return ", ".join(map(str, part)) or "nothing"
