"""The page in a real browser: Debian's chromium, driven by playwright.

pip install '.[app]' playwright && apt-get install chromium
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmvan.app.models import TABS
from tests.app.small_models import SAMPLES, demo_model
from tests.configs.zoo import CONFIGS

pytest.importorskip("gradio")
sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
WAIT = 60_000  # milliseconds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Uploads, good and bad."""
    folder = tmp_path_factory.mktemp("uploads")
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    cv2.imwrite(str(folder / "good.png"), image)
    (folder / "zero.png").touch()
    (folder / "text.txt").write_text("hello")
    (folder / "text.png").write_text("hello")
    Image.new("1", (10_000, 10_000)).save(folder / "huge.png")
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """The page of a model of each task, served as a user would."""
    command = [sys.executable, "-m", "mmvan", "demo-app", "--device", "cpu"]
    for tab in TABS:
        weights = folder / f"{tab}.pth"
        torch.save({"state_dict": demo_model(tab).predictor.model.state_dict()}, weights)
        command += ["--model", str(CONFIGS / SAMPLES[tab]), str(weights)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, cwd=CONFIGS.parent, **pipes) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        yield next(line.split()[0] for line in lines if line.startswith("http"))
        process.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def open_page(browser: Any, address: str, scheme: str = "light", width: int = 1280) -> Any:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.goto(address)
    page.get_by_role("tab", name=TABS[0]).wait_for()
    return page


def panel(page: Any, tab: str) -> Any:
    """A tab, opened."""
    page.get_by_role("tab", name=tab).click()
    found = page.get_by_role("tabpanel").filter(visible=True)
    found.get_by_role("button", name="Predict").wait_for()
    return found


def upload(panel: Any, file: Path) -> None:
    if panel.get_by_label("Remove Image").count():
        panel.get_by_label("Remove Image").click()
    panel.locator("input[type=file]").first.set_input_files(file)
    panel.get_by_label("Remove Image").wait_for()


@pytest.mark.parametrize(("scheme", "width"), (("light", 1280), ("dark", 1280), ("light", 390)))
def test_every_tab_predicts(
    browser: Any, address: str, folder: Path, scheme: str, width: int
) -> None:
    page = open_page(browser, address, scheme, width)
    for tab in TABS:
        opened = panel(page, tab)
        upload(opened, folder / "good.png")
        opened.get_by_role("button", name="Predict").click()
        result = opened.get_by_label("Result")
        sync_api.expect(result).not_to_have_value("", timeout=WAIT)
        assert result.input_value().startswith("90 x 60 pixels, ")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width  # nothing sticks out of a phone


@pytest.mark.parametrize(
    ("name", "message"),
    (
        ("zero.png", "zero.png is empty (0 bytes)"),
        ("text.png", "text.png is no image that can be read"),
        ("huge.png", "10000 x 10000 pixels, 100 megapixels; at most 50 are accepted"),
    ),
)
def test_errors_are_shown(
    browser: Any, address: str, folder: Path, name: str, message: str
) -> None:
    opened = panel(open_page(browser, address), TABS[0])
    upload(opened, folder / name)
    opened.get_by_role("button", name="Predict").click()
    sync_api.expect(opened.page.get_by_text(message)).to_be_visible(timeout=WAIT)


def test_other_files_are_not_taken(browser: Any, address: str, folder: Path) -> None:
    opened = panel(open_page(browser, address), TABS[0])
    opened.locator("input[type=file]").first.set_input_files(folder / "text.txt")
    refused = opened.page.get_by_text("Invalid file type only image/* allowed")
    sync_api.expect(refused).to_be_visible(timeout=WAIT)
    opened.get_by_role("button", name="Predict").click()
    empty = opened.page.get_by_text("No image yet: upload one, or choose a sample")
    sync_api.expect(empty).to_be_visible(timeout=WAIT)
