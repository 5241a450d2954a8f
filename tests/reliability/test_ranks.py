"""A run that goes on in another number of processes has the samples that were left, each once."""

import re
from collections import Counter
from pathlib import Path

import pytest
from small_runs import Run, differences, final_state, make_datasets, saved_iterations, write_config

CUT = 5  # Two iterations behind a checkpoint, in the middle of the first epoch.
# Images of a pass.
SIZES = {"classification": 20, "detection": 8, "segmentation": 10}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    make_datasets(folder / "data")
    return folder


def write(task: str, data: Path, file: Path) -> Path:
    options = {}
    if task == "classification":
        options["train_dataloader__batch_size"] = 1  # 5 of 10 or 20 iterations.
    return write_config(task, file, data / "data", records=True, **options)


def take_records(work_dir: Path, first: int, end: int | None = None) -> list[tuple[int, str]]:
    """Epoch and image of all samples that iterations had, in their order; then forget them."""
    lines = []
    for file in sorted(work_dir.glob("had_*.txt")):
        for line in file.read_text().splitlines():
            epoch, iteration, name = line.split()
            if int(iteration) >= first and (end is None or int(iteration) < end):
                lines.append((int(iteration), file.name, int(epoch), name))
        file.unlink()
    return [(epoch, name) for _, _, epoch, name in sorted(lines, key=lambda line: line[:2])]


def cut(config: Path, work_dir: Path, ranks: int, iteration: int, first: int = 0) -> list:
    """Train until behind an iteration; what was had up to the last checkpoint."""
    Run(config, work_dir, ranks).cut(iteration)
    return take_records(work_dir, first, max(saved_iterations(work_dir)))


@pytest.mark.slow
@pytest.mark.parametrize("ranks", ((2, 1), (1, 2)))
@pytest.mark.parametrize("task", ("classification", "detection"))
def test_each_epoch_has_each_image_once(
    task: str, ranks: tuple[int, int], data: Path, tmp_path: Path
) -> None:
    config = write(task, data, tmp_path / "config.py")
    # Of 4 iterations: behind the third, which was saved.
    iteration = 3 if task == "detection" and ranks[0] == 2 else CUT
    had = cut(config, tmp_path / "run", ranks[0], iteration)
    assert len(had) == 3 * ranks[0]
    run = Run(config, tmp_path / "run", ranks[1])
    run.start().wait()
    had += take_records(run.work_dir, 0)
    for epoch in range(2):
        counts = Counter(name for number, name in had if number == epoch)
        assert len(counts) == SIZES[task]
        # An odd rest is made even by one that comes twice, as by the sampler itself.
        assert counts.total() - SIZES[task] == (epoch == 0 and ranks == (1, 2))
    text = run.output()
    assert f"resumed in {ranks[1]} processes" in text
    assert "the samples that nobody has had in this pass" in text
    assert "not those of an uninterrupted run" in text


@pytest.mark.slow
@pytest.mark.parametrize("ranks", ((2, 1), (1, 2)))
def test_passes_by_iterations_lose_and_repeat_nothing(
    ranks: tuple[int, int], data: Path, tmp_path: Path
) -> None:
    config = write("segmentation", data, tmp_path / "config.py")
    had = cut(config, tmp_path / "run", ranks[0], CUT)
    assert len(had) == 3 * ranks[0]
    Run(config, tmp_path / "run", ranks[1]).start().wait()
    had += take_records(tmp_path / "run", 3)
    assert len(had) == 3 * ranks[0] + 13 * ranks[1]
    names = [name for _, name in had]
    size = SIZES["segmentation"]
    for start in range(0, len(names), size):
        one_pass = names[start : start + size]
        assert len(set(one_pass)) == len(one_pass)


@pytest.mark.slow
@pytest.mark.parametrize("task", ("classification", "segmentation"))
def test_a_run_that_was_changed_before_is_resumed_exactly(
    task: str, data: Path, tmp_path: Path
) -> None:
    """From two processes to one, and then killed once more: as with one kill, to the last bit."""
    config = write(task, data, tmp_path / "config.py")
    ends = []
    for name, again in (("whole", None), ("cut", 11)):
        run = Run(config, tmp_path / name, 2)
        had = cut(config, run.work_dir, 2, CUT)
        run.ranks = 1
        if again:
            had += cut(config, run.work_dir, 1, again)
            run.start().wait()
            had += take_records(run.work_dir, 9)
        else:
            run.start().wait()
            had += take_records(run.work_dir, 0)
        ends.append((final_state(run.work_dir), had))
    assert differences(ends[0][0], ends[1][0]) == []
    assert ends[0][1] == ends[1][1]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", (2, 3))
def test_processes_do_a_pending_evaluation_together(ranks: int, tmp_path: Path) -> None:
    """Killed before it, two processes do it when they are resumed; other ones, too.

    What hooks of each process have counted decides in which collective operations they meet.
    """
    make_datasets(tmp_path / "data")
    options = {"default_hooks__checkpoint__interval": 8}  # An evaluation follows.
    config = write_config(
        "segmentation", tmp_path / "config.py", tmp_path / "data", records=True, **options
    )
    run = Run(config, tmp_path / "run", 2)
    run.cut(8)
    assert set(saved_iterations(run.work_dir)) == {8}
    run.ranks = ranks
    run.start().wait(60)
    assert set(saved_iterations(run.work_dir)) == {8, 16}
    assert len(re.findall(r"Iter\(val\) .*mIoU", run.output())) == 2
