"""Options that several commands share, with one name and one explanation."""

import argparse

from mmengine.config import DictAction

from mmvan.engine.device import DEVICES


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Declare ``--cfg-options``."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="settings that override the config's, such as train_dataloader.batch_size=4 or "
        "key='[(a,b),(c,d)]'",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Declare ``--device``."""
    parser.add_argument(
        "--device", choices=DEVICES, default="auto", help="auto takes a GPU where there is one"
    )


def as_sentence(text: str) -> str:
    """The description of a command from its summary in a list of commands."""
    return f"{text[:1].upper()}{text[1:]}."
