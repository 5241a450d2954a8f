"""One image out of many: drawn predictions side by side."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")


def make_sheet(
    folder: Path, out: Path, count: int = 12, columns: int = 3, width: int = 420
) -> list[Path]:
    """Lay images of a folder out on one sheet.

    Args:
        folder: Searched with all folders below it.
        out: The sheet to write.
        count: At most so many images, spread evenly over all in the order of their names.
        columns: Images per row.
        width: Width of each image on the sheet, in pixels; heights follow.

    Returns:
        The images that were used.

    Raises:
        FileNotFoundError: If there is no image in the folder.
    """
    found = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in IMAGE_ENDINGS)
    if not found:
        raise FileNotFoundError(f"no image ({', '.join(IMAGE_ENDINGS)}) below {folder}")
    count = min(count, len(found))
    chosen = [found[i * len(found) // count] for i in range(count)]
    _lay_out([_scaled(path, width) for path in chosen], columns, width).save(out)
    return chosen


def _scaled(path: Path, width: int) -> Image.Image:
    with Image.open(path) as image:
        height = round(image.height * width / image.width)
        return image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def _lay_out(images: Sequence[Image.Image], columns: int, width: int, gap: int = 8) -> Image.Image:
    rows = [images[i : i + columns] for i in range(0, len(images), columns)]
    heights = [max(image.height for image in row) for row in rows]
    size = (columns * (width + gap) + gap, sum(heights) + gap * (len(rows) + 1))
    sheet = Image.new("RGB", size, "white")
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        sheet.paste(image, (gap + column * (width + gap), gap * (row + 1) + sum(heights[:row])))
    return sheet
