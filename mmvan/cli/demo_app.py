"""Models in the browser: ``mmvan demo-app --model CONFIG CHECKPOINT``."""

import argparse
import sys
from pathlib import Path

from mmvan.app.uploads import Limits
from mmvan.engine.device import choose_device
from mmvan.engine.options import add_device
from mmvan.errors import ConfigError

DESCRIPTION = (
    "Serve a page on which people try models on their own images. It is served to this machine "
    "alone, unless --host says otherwise; what is uploaded is read as an image, and nothing of it "
    "is ever executed."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    limits = Limits()
    add = parser.add_argument
    add(
        "--model",
        nargs=2,
        action="append",
        default=[],
        metavar=("CONFIG", "CHECKPOINT"),
        help="a config, or a name of mmvan.list_models(), and its weights; repeat it for more",
    )
    add("--samples", type=Path, metavar="DIR", help="images to choose from")
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, help="port to listen on (default: the first free one from 7860)")
    add_device(parser)
    add(
        "--max-upload",
        type=int,
        default=limits.megabytes,
        metavar="MB",
        help="largest file that is accepted (default: %(default)s)",
    )
    add(
        "--max-pixels",
        type=int,
        default=limits.megapixels,
        metavar="MP",
        help="most megapixels that are accepted (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    """Load the models and serve the page until it is interrupted.

    Raises:
        ConfigError: An option cannot work.
    """
    if min(args.max_upload, args.max_pixels) < 1:
        raise ConfigError("--max-upload and --max-pixels: expected 1 or more")
    device = choose_device(args.device)
    # Only now, because the frameworks take a GPU when they are imported.
    from mmvan.app.models import load_models
    from mmvan.app.page import LOOPBACK, build_page, find_samples, import_gradio, serve

    import_gradio()  # before the models, which take longer
    limits = Limits(args.max_upload, args.max_pixels)
    samples = find_samples(args.samples)
    models = load_models([(config, weights) for config, weights in args.model], device)
    if args.host != LOOPBACK:
        print(
            f"warning: --host {args.host}: everybody who reaches this address can use the page",
            file=sys.stderr,
        )
    serve(build_page(models, samples, limits), args.host, args.port, limits)
