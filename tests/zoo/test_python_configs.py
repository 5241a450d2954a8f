"""Our configs as bases of configs in pure Python."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hooks import EMAHook
from python_configs import ROOT, expected

import mmvan
from mmvan.engine.config import load_config, task_of

PAGE = (ROOT / "docs" / "use_in_your_config.md").read_text()
FILES = expected()


@pytest.fixture(autouse=True)
def _of_this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """MMEngine would look where the package is installed."""
    package = str(Path(mmvan.__file__).parent)
    monkeypatch.setattr("mmengine.config.config.get_installed_path", lambda _: package)


def test_each_config_has_its_file() -> None:
    package = ROOT / "mmvan"
    written = {path.relative_to(package) for path in (package / "configs").rglob("*.py")}
    assert written == set(FILES)
    assert {path: (package / path).read_text() for path in FILES} == FILES


@pytest.mark.parametrize("path", FILES, ids=str)
def test_it_says_the_same(path: Path) -> None:
    lazy, _ = Config._parse_lazy_import(str(ROOT / "mmvan" / path))
    task, _, name = path.name.partition("_")
    assert lazy.to_dict() == Config.fromfile(ROOT / "configs" / task / name)._cfg_dict.to_dict()


def test_the_documented_config_inherits_and_changes(tmp_path: Path) -> None:
    (text,) = (part for part in PAGE.split("```python\n") if "with read_base" in part)
    (tmp_path / "mine.py").write_text(text.partition("```")[0])
    cfg = load_config(str(tmp_path / "mine.py"), {"train_cfg.val_interval": 5}, ("model",))
    base = Config.fromfile(ROOT / "configs" / "detection" / "van_b_maskrcnn.py")
    assert task_of(cfg) == "detection"
    assert cfg.model.backbone.drop_path_rate == 0.2 != base.model.backbone.drop_path_rate
    assert cfg.custom_hooks[-1].type is EMAHook
    assert cfg.train_cfg == {**base.train_cfg, "val_interval": 5}
    assert cfg.train_dataloader == base.train_dataloader
