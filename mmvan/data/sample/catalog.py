"""What the sample images show: kinds of objects and ground, their names, ids and colours."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "CATEGORY_IDS",
    "CLASS_FOLDERS",
    "GROUNDS",
    "GROUND_IDS",
    "GROUND_PALETTE",
    "KINDS",
    "NUM_CATEGORIES",
    "SAMPLE_CATEGORIES",
    "SAMPLE_CATEGORY_PALETTE",
    "SAMPLE_CLASSES",
    "SAMPLE_SEGMENTS",
    "SAMPLE_SEGMENT_PALETTE",
    "UNLABELLED",
    "Kind",
]


@dataclass(frozen=True)
class Kind:
    """A kind of object: neither its shape nor its texture alone identifies it.

    Args:
        name: The class name.
        shape: A key of :data:`mmvan.data.sample.drawing.SHAPES`.
        texture: A key of :data:`mmvan.data.sample.drawing.TEXTURES`.
        hue: Centre of the hues, in turns; hues scatter so widely that neighbours overlap.
    """

    name: str
    shape: str
    texture: str
    hue: float


KINDS = (
    Kind("striped disc", "disc", "stripes", 0.0),
    Kind("checkered square", "square", "checker", 0.1),
    Kind("dotted triangle", "triangle", "dots", 0.2),
    Kind("speckled star", "star", "speckle", 0.3),
    Kind("shaded ring", "ring", "gradient", 0.4),
    Kind("checkered disc", "disc", "checker", 0.5),
    Kind("striped cross", "cross", "stripes", 0.6),
    Kind("dotted square", "square", "dots", 0.7),
    Kind("speckled crescent", "crescent", "speckle", 0.8),
    Kind("shaded triangle", "triangle", "gradient", 0.9),
)

# The first five kinds are the objects of detection and segmentation too, so that a backbone
# trained on the classification samples has seen them.
NUM_CATEGORIES = 5

SAMPLE_CLASSES = tuple(kind.name for kind in KINDS)
# Named like WordNet ids, in an order that sorting keeps; n9 is a range that WordNet does not use.
CLASS_FOLDERS = tuple(f"n9{number:07d}" for number in range(1, len(KINDS) + 1))

SAMPLE_CATEGORIES = SAMPLE_CLASSES[:NUM_CATEGORIES]
# With gaps, as COCO's 80 categories carry ids up to 90.
CATEGORY_IDS = (1, 3, 8, 17, 44)
SAMPLE_CATEGORY_PALETTE = (
    (220, 20, 60),
    (255, 200, 0),
    (30, 144, 255),
    (148, 0, 211),
    (0, 200, 160),
)

# The label of ground and clutter that belong to no class, as ADE20K's "other".
UNLABELLED = 0
# Label i + 1 in the ground maps is GROUNDS[i].
GROUNDS = ("sky", "grass", "water")
# Their categories in panoptic files: after the objects', with gaps as in COCO.
GROUND_IDS = (92, 95, 187)
GROUND_PALETTE = ((6, 230, 230), (4, 200, 3), (61, 80, 250))
SAMPLE_SEGMENTS = (*GROUNDS, *SAMPLE_CATEGORIES)
SAMPLE_SEGMENT_PALETTE = (*GROUND_PALETTE, *SAMPLE_CATEGORY_PALETTE)
