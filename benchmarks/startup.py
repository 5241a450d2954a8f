"""Seconds until the first result, each in a fresh process: imports, building, first forward.

``import mmvan`` is measured after PyTorch and MMEngine are imported, as what it adds to them;
getting a model includes the import of the task library.
"""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from settings import Settings
from table import Measurement, compare
from timing import spread, turns

SUITE = "startup"
BASELINE = "mmpretrain"
_CASE = "VAN-B0, a fresh process"
_REPEATS = 5
_GET_MODEL = {
    "mmpretrain": "mmpretrain.get_model('van-tiny_3rdparty_in1k').eval()",
    "mmvan": "mmvan.get_model('van_t_in1k')",
}
FORMS = tuple(_GET_MODEL)
_SCRIPT = """
import json, time
marks = [time.perf_counter()]
mark = lambda: marks.append(time.perf_counter())
import torch, mmengine; mark()
import {package}; mark()
model = {get_model}; mark()
import torch
torch.set_num_threads({threads})
images = torch.zeros(1, 3, 224, 224, device={device!r})
model = model.to({device!r})
for _ in range(2):
    with torch.inference_mode():
        model(images).sum().item()
    mark()
print(json.dumps([after - before for before, after in zip(marks, marks[1:])]))
"""
# What each mark ends.
METRICS = (
    *("import torch and mmengine", "import after them", "get_model"),
    *("first forward", "second forward"),
)


def measure(settings: Settings) -> Iterator[list[Measurement]]:
    """All steps from the start of Python to the second forward pass, in turns: one case."""
    forms = settings.choose(FORMS, BASELINE)
    for _, of_case in settings.share([_CASE]):
        seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
        for _turn in turns(settings.repeat(_REPEATS), of_case.end):
            for form in forms:
                for metric, value in zip(METRICS, _start(form, settings), strict=True):
                    seconds[metric, form].append(value)
        yield [row for metric in METRICS for row in _rows(metric, forms, seconds)]


def _start(form: str, settings: Settings) -> list[float]:
    """Seconds of each of :data:`METRICS` in a new process."""
    script = _SCRIPT.format(
        package=form,
        get_model=_GET_MODEL[form],
        threads=settings.threads,
        device=settings.device,
    )
    command = [sys.executable, "-W", "ignore", "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"the start of {form} failed:\n{ended.stderr}")
    seconds: list[float] = json.loads(ended.stdout.splitlines()[-1])
    return seconds


def _rows(
    metric: str,
    forms: Sequence[str],
    seconds: Mapping[tuple[str, str], Sequence[float]],
) -> list[Measurement]:
    return compare(
        {form: spread(seconds[metric, form]) for form in forms},
        BASELINE,
        dict.fromkeys(forms, ("float32", "contiguous")),
        suite=SUITE,
        case=_CASE,
        arch="b0",
        batch=1,
        size=224,
        metric=metric,
        unit="s",
    )
