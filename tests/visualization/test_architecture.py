import csv
import re
from pathlib import Path

from mmvan.visualization.architecture import as_text, list_layers, write_csv
from tests.inference.test_run import small_config


def test_layers_of_a_classifier(tmp_path: Path) -> None:
    layers = {layer.name: layer for layer in list_layers(small_config("van_t_in1k"), (64, 96), 4)}
    assert layers["backbone.stages.0"].output == "8 x 16 x 24"
    assert layers["backbone.stages.3"].output == "32 x 2 x 3"
    fc = layers["head.fc"]
    assert (fc.params, fc.flops) == (32 * 1000 + 1000, 32 * 1000)
    whole, backbone = layers["(all)"], layers["backbone"]
    assert whole.params == backbone.params + fc.params
    stages = [layer for name, layer in layers.items() if name.startswith("backbone.stages.")]
    assert sum(stage.flops for stage in stages) == backbone.flops
    assert re.search(r"backbone\.stages\.2 +Stage +24 x 4 x 6", as_text(list(layers.values())))
    write_csv(list(layers.values()), tmp_path / "a.csv")
    with (tmp_path / "a.csv").open() as file:
        rows = {row["layer"]: row for row in csv.DictReader(file)}
    assert int(rows["head.fc"]["params"]) == 33000
