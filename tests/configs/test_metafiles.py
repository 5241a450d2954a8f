"""model-index.yml: it loads as mim loads it, and names every reference config."""

from pathlib import Path

import modelindex

from tests.configs.zoo import CONFIGS, REFERENCE

PROJECT = CONFIGS.parent


def test_every_reference_config_is_indexed_with_its_published_result() -> None:
    index = modelindex.load(str(PROJECT / "model-index.yml"))
    models = {model.name: model for model in index.models}
    assert {model.config for model in index.models} == {
        str(path.relative_to(PROJECT)) for path in REFERENCE
    }
    assert len(models) == len(REFERENCE) == 23
    without_result = {name for name, model in models.items() if not model.results}
    assert without_result == {"van_b5_in1k", "van_b6_in1k", "van_h_fpn"}
    for name, model in models.items():
        assert Path(model.config).stem == name
        # The result in the metafile is the one that the config states.
        text = (PROJECT / model.config).read_text()
        for result in model.results or []:
            assert all(str(value) in text for value in result.metrics.values()), name
