"""The tables of models: what a row says, and that the pages hold what the metafiles say."""

from pathlib import Path

import pytest

from mmvan.zoo.catalogue import named_models
from mmvan.zoo.tables import (
    BEGIN,
    END,
    overview_table,
    replace_section,
    summary_tables,
    weights_tables,
    zoo_tables,
)
from tests.configs.zoo import CONFIGS

PROJECT = CONFIGS.parent
MODELS = list(named_models().values())


def row(tables: str, name: str) -> list[str]:
    (line,) = [line for line in tables.splitlines() if line.startswith(f"| [`{name}`]")]
    return line.strip("| ").split(" | ")


def count_rows(tables: str) -> int:
    return sum(line.startswith("| [`van_") for line in tables.splitlines())


@pytest.mark.parametrize(
    ("page", "expected"),
    (
        ("README.md", overview_table(MODELS, "")),
        ("docs/model_zoo.md", zoo_tables(MODELS, "../")),
    ),
)
def test_the_page_is_as_the_metafiles_say(page: str, expected: str) -> None:
    text = (PROJECT / page).read_text()
    assert expected in text, "run tools/model_tables.py"
    assert replace_section(text, expected) == text


def test_the_overview_has_a_row_for_each_recipe_and_a_column_for_each_size() -> None:
    lines = overview_table(MODELS, "").splitlines()
    assert lines[0] == "| recipe | t: B0 | s: B1 | b: B2 | l: B3 | h: B4 | b5: B5 | b6: B6 |"
    found = [line for line in lines if line.startswith("| `maskrcnn`: COCO |")]
    assert len(found) == 1
    cells = found[0].strip("| ").split(" | ")
    assert cells[3] == "[box AP 46.4, mask AP 41.8](configs/detection/van_b_maskrcnn.py)"
    assert cells[5:] == ["-"] * 3
    table = "\n".join(lines)
    linked = {model.config for model in MODELS if f"]({model.config})" in table}
    left_out = {model.config for model in MODELS} - linked
    assert len(linked) == table.count("](configs/") == 43
    assert all("van_t_in1k_" in config for config in left_out), left_out  # the ablations


def test_the_summary_has_one_row_for_each_config() -> None:
    tables = summary_tables(MODELS, "")
    assert count_rows(tables) == 52
    assert tables.count("**") == 2 * 3
    classifier = row(tables, "van_h_in1k")
    assert classifier[:7] == [
        "[`van_h_in1k`](configs/classification/van_h_in1k.py)",
        "ImageNet-1k",
        "300 epochs, 8 x 128",
        "60.3",
        "12.2",
        "top-1 84.2",
        "top-1 84.13, top-5 96.86",
    ]
    assert classifier[7].startswith("[mmpretrain](https://download.openmmlab.com/")
    assert row(tables, "van_b_in1k")[7].count("](https://") == 3
    assert row(tables, "van_h_upernet_in22k")[5:7] == ["mIoU 53.5 (ms+flip)", "mIoU 52.61"]
    assert row(tables, "van_l_upernet")[7].endswith("(in doubt)")
    assert row(tables, "van_h_fpn")[3:] == ["-"] * 5


def test_columns_that_no_model_of_a_task_fills_are_left_out() -> None:
    detection = summary_tables([m for m in MODELS if m.task == "detection"], "")
    assert "| model | trained on | recipe | params (M) | FLOPs (G) | paper |" in detection
    assert count_rows(detection) == 14


def test_the_list_of_weights_has_every_name_with_its_file() -> None:
    tables = weights_tables(MODELS, "../")
    assert count_rows(tables) == len(MODELS) == 71
    assert row(tables, "van_b5_in22k_mmpretrain")[5:] == [
        "backbone",
        "mmpretrain",
        "18e904e3...",
        "[page](https://github.com/open-mmlab/mmpretrain/tree/mmcls-0.x/configs/van)",
    ]
    assert row(tables, "van_t_in1k_huggingface")[4] == (
        "[van-tiny](https://huggingface.co/Visual-Attention-Network/van-tiny)"
    )
    assert row(tables, "van_t_in1k")[7] == "none published"
    assert tables.count("\n- `van_") == 3  # the doubts


def test_links_lead_to_files_of_the_project() -> None:
    for model in MODELS:
        (cell, *_) = row(weights_tables(MODELS, "../"), model.name)
        target = cell.partition("(")[2].rstrip(")")
        assert Path(PROJECT / "docs", target).is_file()


def test_a_section_is_replaced_between_its_marks() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = replace_section(page, "new")
    assert once == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert replace_section(once, "new") == once


@pytest.mark.parametrize("page", ("", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"))
def test_a_page_without_the_marks_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="expected one line"):
        replace_section(page, "new")
