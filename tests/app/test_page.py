"""The page: its parts, and that it reaches nothing and nobody without being asked."""

import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmvan.app import page
from mmvan.app.uploads import Limits
from mmvan.errors import ConfigError
from tests.app.small_models import demo_model


class Recorder:
    """Stands for a page, and records how it is served."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.options: dict[str, Any] = {}

    def launch(self, **options: Any) -> None:
        self.options = options
        if self.error:
            raise self.error

    local_url = "http://127.0.0.1:7860/"

    def block_thread(self) -> None:
        """Waits for Ctrl-C."""


def test_it_is_served_to_this_machine_and_takes_no_larger_files(
    capsys: pytest.CaptureFixture[str],
) -> None:
    recorder = Recorder()
    page.serve(recorder, page.LOOPBACK, None, Limits(megabytes=3))
    assert recorder.options["server_name"] == "127.0.0.1"
    assert recorder.options["max_file_size"] == 3 * 2**20
    assert recorder.options["share"] is False
    assert "allowed_paths" not in recorder.options
    assert capsys.readouterr().out == "http://127.0.0.1:7860/ (Ctrl-C ends it)\n"


def test_a_port_that_is_taken_is_an_error_of_the_user() -> None:
    with pytest.raises(ConfigError, match=r"--host 127\.0\.0\.1 --port 80: taken"):
        page.serve(Recorder(OSError("taken")), page.LOOPBACK, 80, Limits())


def test_without_gradio_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ConfigError, match=r"needs gradio, .* pip install 'mmvan\[app\]'"):
        page.import_gradio()


def test_samples_are_spread_over_a_folder(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new("L", (2, 2)).save(tmp_path / name / f"{number}.png")
    (tmp_path / "notes.txt").touch()
    found = [Path(file).relative_to(tmp_path).as_posix() for file in page.find_samples(tmp_path, 4)]
    assert found == ["a/0.png", "b/0.png", "c/0.png", "d/0.png"]
    assert page.find_samples(None) == []
    with pytest.raises(ConfigError, match="no image in this folder"):
        page.find_samples(tmp_path / "none")


def test_the_page_has_a_tab_for_each_task_and_shows_errors(tmp_path: Path) -> None:
    gr = pytest.importorskip("gradio")
    models = [demo_model("Detect"), demo_model("Classify")]
    built = page.build_page(models, [], Limits())
    tabs = [each.label for each in built.blocks.values() if isinstance(each, gr.Tab)]
    assert tabs == ["Classify", "Detect"]
    (tmp_path / "a.txt").write_text("hello")
    handler = page._handler(gr, models, Limits())
    with pytest.raises(gr.Error, match=r"a\.txt is no image that can be read"):
        handler(models[0].name, str(tmp_path / "a.txt"), 0.3, 1.0)
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    told, scores, images, rows = handler(models[1].name, str(tmp_path / "a.png"), 0.3, 1.0)
    assert told.startswith("64 x 64 pixels, ")
    assert len(scores) == len(rows) == 5
    assert images[0].shape == images[1].shape == (64, 64, 3)
