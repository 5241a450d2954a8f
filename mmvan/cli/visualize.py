"""See what a model sees and a config does: ``mmvan visualize SUBJECT CONFIG``."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmvan.engine.device import choose_device
from mmvan.engine.options import add_cfg_options, add_device, as_sentence
from mmvan.errors import ConfigError, DataError

if TYPE_CHECKING:
    from mmengine.config import Config

    from mmvan.inference.predict import Predictor, Prepared
    from mmvan.visualization.network_input import NetworkInput

SUBJECTS = {
    "cam": "Grad-CAM: where an image speaks for a class",
    "attention": "maps of large kernel attention, one per stage",
    "erf": "effective receptive field of the stages",
    "features": "feature maps of the stages",
    "augment": "what the training pipeline makes of images",
    "schedule": "learning rate, weight decay and momentum of every step",
    "architecture": "table of layers: shapes, parameters, FLOPs",
}
ENDINGS = (".png", ".jpg", ".pdf", ".svg")
OF_IMAGES = ("cam", "attention", "erf", "features")

DESCRIPTION = "Figures of a model or of a config."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    for name, text in SUBJECTS.items():
        sub = subjects.add_parser(name, help=text, description=as_sentence(text))
        add = sub.add_argument
        add("config", help="config file, or a name of mmvan.list_models()")
        if name in OF_IMAGES:
            add("images", nargs="+", metavar="[CHECKPOINT] IMAGE", help="weights, then images")
            add_device(sub)
            add("--limit", type=int, default=6, metavar="N", help="at most N images (%(default)s)")
        add("--out", type=Path, help="the figure, .png .jpg .pdf or .svg (default: SUBJECT.png)")
        add_cfg_options(sub)
        _add_own(sub, name)


def _add_own(parser: argparse.ArgumentParser, subject: str) -> None:
    add = parser.add_argument
    if subject == "cam":
        add("--class", dest="label", help="name or number (default: the best of each image)")
        add("--stage", type=int, choices=(1, 2, 3, 4), default=4, help="whose maps (%(default)s)")
    elif subject == "erf":
        add("--size", type=int, default=384, help="side of the square input (%(default)s)")
        add("--random", action="store_true", help="random weights, such as before training")
    elif subject == "augment":
        add("--index", type=int, nargs="+", default=[0, 1, 2], help="images of the dataset")
        add("--count", type=int, default=5, help="samples of each (%(default)s)")
    elif subject == "schedule":
        add("--epoch-length", type=int, metavar="N", help="steps per epoch")
        add("--dataset-size", type=int, metavar="N", help="images, where the data are not here")
    elif subject == "architecture":
        add(
            "--size",
            type=int,
            nargs=2,
            metavar=("H", "W"),
            default=(224, 224),
            help="of the input (224 224)",
        )
        add("--depth", type=int, default=4, help="levels of modules (%(default)s)")


def run(args: argparse.Namespace) -> None:
    """Make one figure."""
    out = args.out or Path(f"{args.subject}.png")
    if out.suffix not in ENDINGS:
        raise ConfigError(f"--out {out}: expected an ending of {' '.join(ENDINGS)}")
    if args.subject in OF_IMAGES:
        choose_device(args.device)
        _draw_images(args, out)
    else:
        {"augment": _augment, "schedule": _schedule, "architecture": _architecture}[args.subject](
            args, out
        )
    print(f"{args.subject}: {out}")


def _draw_images(args: argparse.Namespace, out: Path) -> None:
    from mmvan.inference.model import split_checkpoint
    from mmvan.visualization import attention, cam, features
    from mmvan.visualization.figures import save

    checkpoint, paths = split_checkpoint(args.images)
    if not paths:
        raise ConfigError("IMAGE is missing: give files, folders or patterns")
    predictor, note = _predictor(args, checkpoint)
    if args.subject == "erf":
        save(_erf(args, predictor, paths, note), out)
        return
    images = list(_read(args, predictor, paths))
    if args.subject == "cam":
        label = _label(args.label, predictor.model.dataset_meta["classes"])
        save(cam.plot(predictor, images, label, args.stage, note), out)
    elif args.subject == "attention":
        save(attention.plot(predictor.model, images, note), out)
    else:
        for i, given in enumerate(images):
            place = out if not i else out.with_stem(f"{out.stem}_{i + 1}")
            save(features.plot(predictor.model, given, note), place)


def _predictor(args: argparse.Namespace, checkpoint: str | None) -> "tuple[Predictor, str]":
    import torch
    from mmengine.device import get_device

    from mmvan.inference.model import build_model, find_checkpoint, find_config
    from mmvan.inference.predict import Predictor
    from mmvan.models.van import init_as_authors
    from mmvan.visualization.network_input import find_backbone

    cfg = find_config(args.config, args.cfg_options)
    address = None
    if not getattr(args, "random", False):
        address = find_checkpoint(args.config, checkpoint)
    predictor = Predictor(build_model(cfg, address, get_device()))
    if address is None:
        # What a training from scratch begins with, the same each time. MMEngine's `init_weights`
        # would log every parameter.
        torch.manual_seed(0)
        find_backbone(predictor.model).apply(init_as_authors)
    return predictor, f"{Path(cfg.filename).name}, weights: {address or 'random'}"


def _paths(args: argparse.Namespace, texts: list[str]) -> list[tuple[str, Path]]:
    from mmvan.inference.inputs import find_sources

    sources, failures = find_sources(texts)
    if failures:
        raise DataError(f"IMAGE {failures[0].name}: {failures[0].reason}")
    images = [
        (each.name, each.place)
        for each in sources
        if each.kind == "image" and isinstance(each.place, Path)
    ]
    # From all that was given: folders of classes lie one after another.
    return images[:: max(len(images) // max(args.limit, 1), 1)][: args.limit]


def _read(
    args: argparse.Namespace, predictor: "Predictor", texts: list[str]
) -> "Iterator[NetworkInput]":
    from mmvan.visualization.network_input import network_input

    for name, path in _paths(args, texts):
        yield network_input(predictor, _image(predictor, path), name)


def _image(predictor: "Predictor", path: Path) -> "Prepared":
    try:
        return predictor.read(path)
    except DataError as error:
        raise DataError(f"IMAGE {path}: {error}") from error


def _erf(args: argparse.Namespace, predictor: "Predictor", texts: list[str], note: str) -> Any:
    import cv2

    from mmvan.visualization import erf
    from mmvan.visualization.network_input import find_backbone, normalise

    tensors = []
    for _, path in _paths(args, texts):
        side = (args.size, args.size)
        image = cv2.resize(_image(predictor, path).image, side, interpolation=cv2.INTER_AREA)
        tensors.append(normalise(predictor, image))
    return erf.plot_stages(find_backbone(predictor.model), tensors, note)


def _label(text: str | None, classes: list[str]) -> int | None:
    from mmvan.errors import did_you_mean

    if text is None:
        return None
    if text in classes:
        return classes.index(text)
    if text.isdecimal() and int(text) < len(classes):
        return int(text)
    raise ConfigError(
        f"--class {text}: not one of the {len(classes)} classes.{did_you_mean(text, classes)}"
    )


def _config(args: argparse.Namespace, *needs: str) -> "Config":
    from mmvan.inference.model import find_config

    return find_config(args.config, args.cfg_options, needs)


def _augment(args: argparse.Namespace, out: Path) -> None:
    from mmvan.visualization import augment
    from mmvan.visualization.figures import save

    cfg = _config(args, "model", "train_dataloader")
    note = Path(cfg.filename).name
    names = augment.batch_augmentations(cfg)
    if names:
        note += f"; not shown, because they mix whole batches: {', '.join(names)}"
    save(augment.plot(cfg, args.index, args.count, note), out)


def _schedule(args: argparse.Namespace, out: Path) -> None:
    from mmvan.visualization import schedule
    from mmvan.visualization.augment import build_dataset
    from mmvan.visualization.figures import save

    cfg = _config(args, "model", "optim_wrapper", "train_cfg", "train_dataloader")
    length = args.epoch_length
    if not length:
        images = args.dataset_size or len(build_dataset(cfg, "train"))
        length = schedule.recipe_epoch_length(cfg, images)
    found = schedule.compute_schedule(cfg, length)
    note = f"{len(found.steps)} steps, {length} per epoch; optimizer "
    note += f"{cfg.optim_wrapper.optimizer.type}; every step: {out.with_suffix('.csv').name}"
    save(schedule.plot(found, Path(cfg.filename).name, note), out)
    schedule.write_csv(found, out.with_suffix(".csv"))


def _architecture(args: argparse.Namespace, out: Path) -> None:
    from mmvan.visualization import architecture
    from mmvan.visualization.figures import save

    cfg = _config(args, "model", "test_dataloader")
    height, width = args.size
    layers = architecture.list_layers(cfg, (height, width), args.depth)
    print(architecture.as_text(layers))
    total = layers[0]
    note = f"input 3 x {height} x {width}: {total.params / 1e6:.2f} M parameters, "
    note += f"{total.flops / 1e9:.2f} G FLOPs (multiply-accumulates) in {total.kind}"
    save(architecture.plot(layers, Path(cfg.filename).name, note), out)
    architecture.write_csv(layers, out.with_suffix(".csv"))
