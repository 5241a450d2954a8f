"""ImageNet in small: the devkit of ILSVRC2012 in its own format, and archives of images."""

from __future__ import annotations

import io

import numpy as np
from scipy.io import savemat

from mmvan.data.prepare.imagenet_labels import image_name
from tests.data.prepare.making import encoded_image, tarred

DEVKIT = "ILSVRC2012_devkit_t12/data"
TRUTH = "ILSVRC2012_validation_ground_truth.txt"
# By their ids from 1, which do not follow the WordNet ids.
WNIDS = ("n02119789", "n01440764", "n02100735")
IDS = (2, 1, 3, 2, 3, 1)
LABELS = tuple(WNIDS[number - 1] for number in IDS)
TRAIN_IMAGES = 2


def devkit() -> dict[str, bytes]:
    fields = ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children")
    synsets = np.zeros((len(WNIDS) + 1, 1), [(name, object) for name in fields])
    for index, wnid in enumerate((*WNIDS, "n00001740")):
        children = float(index == len(WNIDS)) * 2
        synsets[index, 0] = (index + 1.0, wnid, "a word", "a gloss", children, [])
    file = io.BytesIO()
    savemat(file, {"synsets": synsets})
    truth = "".join(f"{number}\n" for number in IDS).encode()
    return {f"{DEVKIT}/meta.mat": file.getvalue(), f"{DEVKIT}/{TRUTH}": truth}


def archives() -> dict[str, bytes]:
    """The three archives of the challenge: a tar of tars, a flat tar and the devkit."""
    train = {
        f"{wnid}.tar": tarred(
            {f"{wnid}_{n}.JPEG": encoded_image(n + i) for n in range(TRAIN_IMAGES)}
        )
        for i, wnid in enumerate(WNIDS)
    }
    val = {f"{image_name(n)}.JPEG": encoded_image(n) for n in range(1, len(IDS) + 1)}
    return {
        "ILSVRC2012_img_train.tar": tarred(train),
        "ILSVRC2012_img_val.tar": tarred(val),
        "ILSVRC2012_devkit_t12.tar.gz": tarred(devkit(), "w:gz"),
    }
