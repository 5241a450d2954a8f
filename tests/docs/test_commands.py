"""Every command of README.md and docs is run on sample data, or is in a list with its reason."""

import os
import shlex
import shutil
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from filelock import FileLock

from mmvan.cli.main import COMMANDS, make_parser
from mmvan.data.sample import SAMPLE_SEGMENTS
from tests.docs.commands import (
    PAGES,
    PROJECT,
    SECONDS,
    Command,
    commands_in_blocks,
    commands_in_lines,
    faults,
    option_names,
    options_in_lines,
    resolve,
)
from tests.forks import forked_launch, run_python
from tests.tools.workplace import COUNTS as WORKPLACE

NOT_RUN = {
    "installs or builds": (
        ". .venv/bin/activate",
        "make setup*",
        "python3 tools/setup_env.py *",
        "*pip install *",
    ),
    "is what CI runs": (
        *("make demo*", "make test*", "make lint", "make docs", ".ci/run", "mmvan doctor"),
    ),
    "needs docker": ("docker *",),
    "needs an administrator, or another system": (
        *("debootstrap *", "mount *", "umount *", "chroot *", "cp /etc/*", "git archive *"),
    ),
    "needs ImageNet, COCO, ADE20K or data of the reader's": (
        "tools/dist_train.sh configs/*",
        "*RANK=* tools/dist_train.sh *",
        "RDZV_ENDPOINT=* tools/dist_train.sh *",
        "tools/dist_train.sh data/pets/*",
        "tools/dist_train.sh CONFIG 8 --resume",
        "python tools/prepare_dataset.py imagenet *",
        "python tools/prepare_dataset.py coco*",
        "mmvan visualize erf configs/*",
    ),
    "needs Slurm": ("GPUS_PER_NODE=* tools/slurm_train.sh *",),
    "needs published weights": (
        "mmvan train data/pets/*",
        *("mmvan infer van_b_in1k *", "mmvan infer van_b_fpn *", "mmvan visualize attention van_*"),
        *("mmvan visualize erf van_*", "mmvan visualize features van_*"),
    ),
    "needs a GPU": ("trtexec *", "mmvan infer-exported * --provider *"),
    "serves until it is stopped; tests/app/test_browser.py has it": ("mmvan demo-app *",),
    "needs MMDeploy, which pip installs only without its dependencies; tests/deploy has it": (
        "mmvan export * --part whole *",
        "mmvan infer-exported van_t_maskrcnn.onnx *",
        "python benchmarks/detectors.py *",
    ),
    "needs grad-cam": ("mmvan visualize cam *",),
    "needs an hour; tests/configs/test_recipes_options.py builds each": (
        "python tools/train.py configs/*_in1k.py *",
        "python tools/train.py configs/segmentation/van_?_*.py *",
    ),
    "takes minutes; the suite runs its parts": (
        *("python benchmarks/parity.py *",),
        "python -m mmvan.leaderboard audit",
        "mmvan export * --precision int8 *",
    ),
    "measures for two minutes": ("mmvan tune *",),
}
# Of the training images, as many as `mmvan analyze browse --count 12` shows.
COUNTS = {**WORKPLACE, "det": (12, 4)}
# What Python receives for these words.
PROGRAMS = {"mmvan": ("-m", "mmvan"), "python": (), "python3": ()}
# What makes a documented command short: a few images, one step.
SHORT_SEGMENTATION = ("--cfg-options", "train_cfg.max_iters=2", "train_cfg.val_interval=2")
# What a reader puts in the place of these words.
SAMPLE = "data/sample"
TRAINED = "work_dirs/van_t_in1k_sample/epoch_12.pth"
VALUES = {
    "CONFIG": "configs/classification/van_t_in1k_sample.py",
    "CHECKPOINT": TRAINED,
    "IMAGES": f"{SAMPLE}/imagenet/val",
    "van_base_828.pth.tar": TRAINED,
    "work_dirs/x/epoch_300.pth": TRAINED,
    "~/my_images": f"{SAMPLE}/imagenet",
    "~/pets": f"{SAMPLE}/imagenet",
    "~/bolts/images": f"{SAMPLE}/coco/train2017",
    "~/bolts/all.json": f"{SAMPLE}/coco/annotations/instances_train2017.json",
    "~/roads/images": f"{SAMPLE}/ade20k/images",
    "~/roads/maps": f"{SAMPLE}/ade20k/annotations",
    "~/roads/names.txt": "names.txt",
    "van_b_in1k.xml": "van_t_in1k_sample.xml",
    "configs/detection/van_t_maskrcnn.py": "configs/detection/van_t_maskrcnn_sample.py",
}
DETECTOR = {"CHECKPOINT": "work_dirs/van_t_maskrcnn_sample/epoch_2.pth"}
# The page that trains the models of the others' examples.
FIRST = PROJECT / "docs/getting_started.md"
FAILURES = "failures.txt"


def name_of(page: Path) -> str:
    return page.name


def reasons(command: Command) -> list[str]:
    """Why a command is not run; nothing if it is."""
    return [
        reason
        for reason, patterns in NOT_RUN.items()
        if any(fnmatchcase(command.text, pattern) for pattern in patterns)
    ]


def to_run(page: Path) -> list[Command]:
    """The commands of a page that are run, in order."""
    return [each for each in commands_in_blocks(page) if not reasons(each)]


class Place:
    """A folder with links to what a clone has, where the commands are run one after another.

    Args:
        root: The folder.
        done: Commands that were run there.
    """

    def __init__(self, root: Path, done: Iterable[Command] = ()) -> None:
        self.root = root
        self._done = {tuple(self._fill(command)) for command in done}
        programs = root / "programs"
        own = {"PYTHONPATH": str(PROJECT), "CUDA_VISIBLE_DEVICES": "-1", **forked_launch()}
        self.environment = {**os.environ, **own, "PATH": f"{programs}:{os.environ['PATH']}"}

    def furnish(self) -> None:
        """Make the folder, with programs for what calls a shell."""
        programs = self.root / "programs"
        programs.mkdir(parents=True)
        for name in ("configs", "tools", "benchmarks", "mmvan"):
            (self.root / name).symlink_to(PROJECT / name)
        (self.root / "names.txt").write_text("\n".join(("other", *SAMPLE_SEGMENTS)))
        for name, first in PROGRAMS.items():
            (programs / name).write_text(f'#!/bin/sh\nexec "$PYTHON" {shlex.join(first)} "$@"\n')
            (programs / name).chmod(0o755)

    def run(self, command: Command) -> str:
        """Run a command; return what it printed if it failed, else nothing."""
        words = self._fill(command)
        if tuple(words) in self._done:
            return ""
        self._done.add(tuple(words))
        if resolve(words)[0] != "sample-data":
            return self._run(words)
        sizes = [(task, *map(str, counts)) for task, counts in COUNTS.items()]
        return "".join(self._run([*words, "--task", task, "--size", *of]) for task, *of in sizes)

    def _run(self, words: list[str]) -> str:
        program, *arguments = words
        assert program in PROGRAMS, f"{program}: how it is run is not said here"
        done = run_python(
            *(*PROGRAMS[program], *arguments),
            cwd=self.root,
            environment=self.environment,
            timeout=SECONDS,
        )
        if not done.returncode:
            return ""
        return f"$ {' '.join(words)}\nstatus {done.returncode}\n{done.stderr[-2000:]}"

    def _fill(self, command: Command) -> list[str]:
        """The words, with values for placeholders, and short."""
        detector = any("configs/detection" in word for word in command.words)
        values = {**VALUES, **(DETECTOR if detector else {})}
        words = [values.get(word, word) for word in command.words]
        if resolve(words)[0] == "train" and any("configs/segmentation" in word for word in words):
            words += SHORT_SEGMENTATION
        return words


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_command_names_exists(page: Path) -> None:
    found = [(each.text, faults(each, whole=True)) for each in commands_in_blocks(page)]
    found += [(each.text, faults(each, whole=False)) for each in commands_in_lines(page)]
    assert [each for each in found if each[1]] == []


def test_options_without_a_command_exist() -> None:
    # Of scripts that are no commands of mmvan.
    scripts = {"--ops", "--help", "--fresh", "--full", "--torch", "--kills", "--photos"}
    known = scripts.union(*(option_names(make_parser(name)) for name in COMMANDS))
    named = {(page.name, option) for page in PAGES for option in options_in_lines(page)}
    # Of pip, docker and srun.
    foreign = {"--no-build-isolation", "--gres", "--gpu-bind", "--ipc", "--no-deps", "--signal"}
    assert [each for each in sorted(named) if each[1] not in known | foreign] == []
    assert len(named) > 50


def test_every_reason_is_needed_and_none_contradicts() -> None:
    commands = [each for page in PAGES for each in commands_in_blocks(page)]
    used = {pattern for pattern in every_pattern() if any_matches(pattern, commands)}
    assert set(every_pattern()) - used == set()
    assert [each.text for each in commands if len(reasons(each)) > 1] == []


def every_pattern() -> Iterator[str]:
    for patterns in NOT_RUN.values():
        yield from patterns


def any_matches(pattern: str, commands: list[Command]) -> bool:
    return any(fnmatchcase(each.text, pattern) for each in commands)


def test_most_commands_of_the_first_pages_are_run() -> None:
    """The number says how much of the documentation this test covers."""
    commands = [each for page in PAGES for each in commands_in_blocks(page)]
    run = [each for each in commands if not reasons(each)]
    assert len(commands) > 90
    assert len(run) > 25


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page that trains what others use was run: once, in whichever process is first."""
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if parallel else base) / "documented"
    failures = shared / FAILURES
    with FileLock(f"{shared}.lock"):
        if not failures.exists():
            place = Place(shared)
            place.furnish()
            failures.write_text("".join(place.run(each) for each in to_run(FIRST)))
    return shared


@pytest.mark.slow
@pytest.mark.awaited
def test_the_commands_of_the_first_page_run(first: Path) -> None:
    assert (first / FAILURES).read_text() == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [each for each in PAGES if each != FIRST and to_run(each)], ids=name_of
)
def test_the_commands_run(page: Path, first: Path, tmp_path: Path) -> None:
    """Behind those of the first page, whose models they use."""
    root = tmp_path / "place"
    shutil.copytree(first, root, symlinks=True, copy_function=link_or_copy)
    place = Place(root, to_run(FIRST))
    assert [told for each in to_run(page) if (told := place.run(each))] == []


def link_or_copy(source: str, target: str) -> None:
    """Checkpoints are large, and nobody writes into them."""
    (os.link if source.endswith(".pth") else shutil.copy2)(source, target)
