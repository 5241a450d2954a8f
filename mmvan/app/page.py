"""The page itself, in Gradio."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmvan.app.models import CLASSIFICATION, DETECTION, HEADERS, TABS, DemoModel, answer
from mmvan.app.uploads import ENDINGS, Limits
from mmvan.errors import ConfigError, UserError

# Without fonts and scripts from elsewhere, so that it works offline.
_FONTS = ("system-ui", "sans-serif")
_MONO = ("ui-monospace", "monospace")
LOOPBACK = "127.0.0.1"


def import_gradio() -> Any:
    """Import Gradio.

    Raises:
        ConfigError: It is not installed.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when it is imported
    try:
        import gradio
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the page needs {error.name}, which is not installed: pip install 'mmvan[app]', best "
            "in an environment of its own"
        ) from error
    return gradio


def find_samples(folder: Path | None, count: int = 10) -> list[str]:
    """The first images of a folder and those below it.

    Raises:
        ConfigError: There is none.
    """
    if folder is None:
        return []
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in ENDINGS)
    if not files:
        raise ConfigError(f"--samples {folder}: no image in this folder ({' '.join(ENDINGS)})")
    step = max(len(files) // count, 1)  # from all of it: folders of classes lie one after another
    return [str(file) for file in files[::step][:count]]


def build_page(models: list[DemoModel], samples: list[str], limits: Limits) -> Any:
    """Build the page.

    Args:
        models: What can be chosen.
        samples: Images that can be chosen.
        limits: Of uploads.

    Returns:
        gradio.Blocks: The page, not yet served.
    """
    gr = import_gradio()
    theme = gr.themes.Default(font=list(_FONTS), font_mono=list(_MONO))
    with warnings.catch_warnings():
        # Gradio 5.50 tells of what Gradio 6 will call otherwise.
        warnings.simplefilter("ignore", DeprecationWarning)
        page = gr.Blocks(title="mmvan", theme=theme, analytics_enabled=False)
    with page:
        gr.Markdown("## Visual Attention Network")
        for tab in TABS:
            of_tab = [model for model in models if model.tab == tab]
            if of_tab:
                with gr.Tab(tab):
                    _fill_tab(gr, tab, of_tab, samples, limits)
    return page


def serve(page: Any, host: str, port: int | None, limits: Limits) -> None:
    """Serve the page until it is interrupted.

    Raises:
        ConfigError: The address cannot be listened on.
    """
    try:
        page.launch(
            server_name=host,
            server_port=port,
            max_file_size=limits.megabytes * 2**20,
            share=False,
            show_error=True,
            show_api=False,
            enable_monitoring=False,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise ConfigError(f"--host {host} --port {port}: {error}") from error
    print(f"{page.local_url} (Ctrl-C ends it)", flush=True)
    page.block_thread()


def _fill_tab(
    gr: Any, tab: str, models: list[DemoModel], samples: list[str], limits: Limits
) -> None:
    names = [model.name for model in models]
    drawn = tab != CLASSIFICATION
    with gr.Row():
        with gr.Column():
            image = gr.Image(
                type="filepath",
                label=f"Image, at most {limits.megabytes} MB and {limits.megapixels} megapixels",
                sources=["upload", "clipboard"],
                height=320,
            )
            # Gradio would open an upload, whatever its size, before it can be checked here.
            image.preprocess = lambda payload: payload.path if payload else None
            model = gr.Dropdown(names, value=names[0], label="Model")
            threshold = gr.Slider(
                0, 1, 0.3, step=0.05, label="Least score", visible=tab == DETECTION
            )
            opacity = gr.Slider(0, 1, 1, step=0.05, label="Opacity", visible=drawn)
            button = gr.Button("Predict", variant="primary")
        with gr.Column():
            told = gr.Textbox(label="Result", interactive=False, lines=2, max_lines=3)
            scores = gr.Label(num_top_classes=5, label="Best classes", visible=not drawn)
            compared = gr.ImageSlider(label="Drag the line: image, prediction", visible=drawn)
            table = gr.Dataframe(
                headers=list(HEADERS[tab]), label="Found", interactive=False, visible=drawn
            )
    if samples:
        gr.Examples([[sample] for sample in samples], [image], label="Samples")
    outputs = [told, scores, compared, table]
    inputs = [model, image, threshold, opacity]
    button.click(_handler(gr, models, limits), inputs, outputs)


def _handler(gr: Any, models: list[DemoModel], limits: Limits) -> Callable[..., tuple[Any, ...]]:
    def predict(name: str, file: str | None, threshold: float, opacity: float) -> tuple[Any, ...]:
        try:
            found = answer(models, name, file, threshold, opacity, limits)
        except UserError as error:
            raise gr.Error(str(error), duration=None, print_exception=False) from None
        except Exception as error:
            raise gr.Error(f"{type(error).__name__}: {error}", duration=None) from error
        return found.told, found.scores or None, (found.image, found.drawn), found.rows

    return predict
