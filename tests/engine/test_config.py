from pathlib import Path

import pytest
from mmengine.registry import MODELS, DefaultScope

from mmvan.engine.config import innermost_dataset, load_config, task_of
from mmvan.errors import ConfigError

GOOD = """
default_scope = 'mmdet'
model = dict(type='MaskRCNN', backbone=dict(type='mmvan.VAN', arch='b0'))
train_dataloader = dict(batch_size=2, dataset=dict(type='CocoDataset'))
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "configs" / "detection" / "van_t_maskrcnn.py"
    file.parent.mkdir(parents=True)
    file.write_text(GOOD)
    return file


def test_overrides_are_merged(config: Path) -> None:
    overrides = {"model.backbone.arch": "b1", "model.neck.type": "FPN", "resume": True}
    cfg = load_config(str(config), overrides, needs=("model",))
    assert cfg.model.backbone == {"type": "mmvan.VAN", "arch": "b1"}
    assert cfg.model.neck.type == "FPN"
    assert cfg.resume is True
    assert task_of(cfg) == "detection"


@pytest.mark.parametrize("typed", ("detection/van_t_maskrcn.py", "detectoin/van_t_maskrcnn.py"))
def test_missing_config_names_the_closest(config: Path, typed: str) -> None:
    with pytest.raises(ConfigError, match="does not exist") as error:
        load_config(str(config.parents[1] / typed), None, needs=())
    assert f"Did you mean {config}?" in str(error.value)


def test_missing_config_is_looked_for_in_the_project(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(config.parents[2])
    with pytest.raises(ConfigError, match=r"Did you mean configs/detection/van_t_maskrcnn\.py"):
        load_config("config/detection/van_t_maskrcnn.py", None, needs=())


def test_directory_is_not_a_config(config: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory; expected a config file"):
        load_config(str(config.parent), None, needs=())


@pytest.mark.parametrize(
    ("text", "found"),
    (
        ("default_scope = 'mmdet'\nmodel = dict(", "never closed.*line 2"),
        ("_base_ = ['missing.py']", "missing.py"),
        ("custom_imports = dict(imports=['no_such_module'])", "no_such_module"),
        ("width = undefined", "NameError: name 'undefined' is not defined"),
        ("width = 1 / 0", "ZeroDivisionError"),
    ),
)
def test_unreadable_config_says_why(config: Path, text: str, found: str) -> None:
    config.write_text(text)
    with pytest.raises(ConfigError, match=f"{config.name} cannot be read: .*{found}"):
        load_config(str(config), None, needs=())


@pytest.mark.parametrize(
    ("key", "hint"),
    (
        ("train_dataloder.batch_size", "the config has no 'train_dataloder'. Did you mean train_"),
        ("model.backbon.arch", "model has no 'backbon'. Did you mean backbone?"),
        ("zzz", "the config has no 'zzz'."),
    ),
)
def test_key_that_fits_nothing_is_refused(config: Path, key: str, hint: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(str(config), {key: 1}, needs=())
    assert f"--cfg-options {key}: {hint}" in str(error.value)


def test_key_that_only_the_data_check_reads_is_taken(config: Path) -> None:
    cfg = load_config(str(config), {"allow_empty_categories": True}, ())
    assert cfg.allow_empty_categories is True


def test_value_that_cannot_be_merged_is_refused(config: Path) -> None:
    config.write_text(GOOD + "custom_hooks = [dict(type='EMAHook')]")
    for key in ("custom_hooks.5.type", "custom_hooks.type.name"):
        with pytest.raises(ConfigError, match=r"--cfg-options does not fit the config: \w+"):
            load_config(str(config), {key: "NumClassCheckHook"}, needs=())


def test_scope_decides_the_task(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="default_scope is 'mmengine'; expected 'mmpretrain'"):
        load_config(str(config), {"default_scope": "mmengine"}, needs=())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs mmseg, which is not installed"):
        load_config(str(config), {"default_scope": "mmseg"}, needs=())


def test_needed_keys_are_listed(config: Path) -> None:
    with pytest.raises(ConfigError, match="test_cfg, test_evaluator not set"):
        load_config(str(config), None, needs=("model", "test_cfg", "test_evaluator"))


def test_innermost_dataset_is_under_all_wrappers() -> None:
    inner = {"type": "CocoDataset", "pipeline": []}
    wrapped = {"type": "RepeatDataset", "dataset": {"type": "ClassBalanced", "dataset": inner}}
    assert innermost_dataset({"dataset": wrapped}) is inner
    assert innermost_dataset({"dataset": inner}) is inner


@pytest.mark.smoke
def test_a_base_in_the_installed_package(tmp_path: Path) -> None:
    """MMEngine would look up ``RetinaNet`` in the scope of the package that the base is in."""
    config = tmp_path / "project.py"
    config.write_text(
        '_base_ = "mmvan::detection/van_t_retinanet.py"\n'
        "model = dict(bbox_head=dict(num_classes=3), backbone=dict(init_cfg=None))\n"
    )
    cfg = load_config(str(config), None, ("model",))
    assert "_scope_" not in cfg.pretty_text
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    assert type(model).__module__.startswith("mmdet.")
    assert model.bbox_head.num_classes == 3
    assert cfg.train_cfg.type == "mmvan.EpochBasedTrainLoop"
