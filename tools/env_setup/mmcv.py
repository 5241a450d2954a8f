"""mmcv with its compiled operators: a ready wheel where one works, else a build that is cached."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from env_setup.cuda import cuda_environment
from env_setup.headers import precompile
from env_setup.machine import (
    Torch,
    cores,
    cuda_archs,
    find_nvcc,
    free_memory,
    max_jobs,
    require_compilers,
)
from env_setup.pins import package_name
from env_setup.shell import SetupError, Shell, say, show_seconds
from env_setup.source import named_standard, prepare_source

# Runs an operator: wheels without operators, or linked to another torch, can install without error.
CHECK = """
import sys, torch
from importlib.metadata import version
from mmcv.ops import get_compiling_cuda_version, nms
name, wanted, device = sys.argv[1:]
assert version(name).partition('+')[0] == wanted, f'{name} {version(name)} is installed'
boxes = torch.tensor([[0., 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
for where in ['cpu'] + ['cuda'] * (device == 'cuda' and torch.cuda.is_available()):
    kept = nms(boxes.to(where), torch.tensor([.9, .8, .7], device=where), 0.5)[1].tolist()
    assert kept == [0, 2], f'mmcv.ops.nms kept {kept} on {where} instead of [0, 2]'
assert device == 'cpu' or get_compiling_cuda_version()[0].isdigit(), 'it has no CUDA operators'
"""
# For a file and an architecture nvcc takes about five times as long as g++ for one of its own.
CUDA_WEIGHT = 5
GIB_PER_JOB = {"cpu": 2.0, "cuda": 4.0}  # The largest g++ was seen at 1.9; nvcc by estimate.


@dataclass(frozen=True)
class MmcvRequest:
    """What is to be installed.

    Attributes:
        requirement: exact, such as `mmcv==2.1.0`.
        torch: the torch that is installed.
        device: `cpu` or `cuda`, for the operators.
        wheelhouse: folder of ready wheels, if any.
    """

    requirement: str
    torch: Torch
    device: str
    wheelhouse: Path | None

    @property
    def archs(self) -> str | None:
        """The CUDA architectures to compile for; None for the CPU."""
        return cuda_archs(self.torch) if self.device == "cuda" else None

    @property
    def key(self) -> str:
        """Name of this kind of environment, for folders."""
        return cache_key(self.requirement, self.torch, self.archs)

    @property
    def cache(self) -> Path:
        """Folder of the wheel for this torch, Python and device."""
        return cache_root() / "wheels" / self.key

    @property
    def build_tree(self) -> Path:
        """Folder that a build works in until it is done."""
        return cache_root() / "builds" / self.key


def cache_root() -> Path:
    """Returns mmvan's folder in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmvan"


def has_wheel(requirement: str, wheelhouse: Path | None) -> bool:
    """Whether a wheel for this Python lies ready; whether it serves is seen when it is tried."""
    name = package_name(requirement).replace("-", "_")
    pattern = f"{name}-*-cp{sys.version_info[0]}{sys.version_info[1]}-*.whl"
    folders = [*([wheelhouse] if wheelhouse else []), *cache_root().glob("wheels/*")]
    return any(True for folder in folders for _ in folder.glob(pattern))


def choose_device(choice: str, torch: Torch) -> str:
    """Returns `cuda` if mmcv needs CUDA operators, else `cpu`.

    Args:
        choice: `auto`, `cpu` or `cuda`.
        torch: the torch that is installed.

    Raises:
        SetupError: CUDA is asked for, but torch has none.
    """
    if choice == "cuda" and not torch.cuda:
        raise SetupError(
            f"--ops cuda, but torch {torch.version} is built without CUDA: choose another by "
            "--torch or --torch-index"
        )
    if choice != "auto":
        return choice
    return "cuda" if torch.cuda and (torch.gpus or find_nvcc()) else "cpu"


def cache_key(requirement: str, torch: Torch, archs: str | None) -> str:
    """Names the one kind of environment that a compiled wheel belongs to."""
    name, _, version = requirement.partition("==")
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}-{sysconfig.get_platform()}"
    cuda = (torch.cuda or "").replace(".", "")
    device = "cpu" if archs is None else f"cu{cuda}-{archs.replace(';', '-').replace(' ', '-')}"
    return f"{name}-{version}-{python}-torch{torch.version}-{device}"


def install_mmcv(shell: Shell, request: MmcvRequest) -> None:
    """Installs mmcv; nothing is accepted before an operator has run.

    Raises:
        SetupError: there is no ready wheel, and the build is not possible or failed.
    """
    if is_working(shell, request) is None:
        say("kept: its operators run")
        return
    lock = request.build_tree.with_name(f"{request.key}.lock")
    with alone(lock), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source, wheel in ready_wheels(shell, request, folder):
            problem = try_wheel(shell, request, wheel)
            if problem is None:
                say(f"from the {source}: {wheel.name}")
                return
            say(f"{wheel.name} from the {source} does not serve here: {problem}")
        wheel = build(shell, request, folder)
        if problem := try_wheel(shell, request, wheel):
            raise SetupError(f"{wheel.name} was just built and does not work: {problem}")
        store(wheel, request.cache)
        shutil.rmtree(request.build_tree, ignore_errors=True)
    say(f"built, and kept in {request.cache}")


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Waits while another setup works on the same wheel: it will lie ready then."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another setup compiles the same: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_working(shell: Shell, request: MmcvRequest) -> str | None:
    """Returns None if the version asked for is installed and its operators run, else why not."""
    name, _, version = request.requirement.partition("==")
    return shell.check(CHECK, name, version, request.device)


def ready_wheels(shell: Shell, request: MmcvRequest, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yields the places that have a wheel, with a copy of it; pip judges which one fits."""
    only_here = ("--isolated", "download", "--find-links")  # Isolated: not pip's own find-links.
    sources: dict[str, tuple[str | Path, ...]] = {
        "wheelhouse": (*only_here, request.wheelhouse or ""),
        "find-links": ("download",),
        "cache": (*only_here, request.cache),
    }
    if request.wheelhouse is None:
        del sources["wheelhouse"]
    for source, arguments in sources.items():
        target = folder / source
        options = ("--no-index", "--no-deps", "--only-binary", ":all:", "-d", target)
        with contextlib.suppress(SetupError):  # pip found none there.
            shell.pip(f"mmcv-{source}", *arguments, *options, request.requirement)
            yield source, next(target.glob("*.whl"))


def try_wheel(shell: Shell, request: MmcvRequest, wheel: Path) -> str | None:
    """Installs a wheel and its dependencies; returns None if an operator ran, else why not."""
    shell.pip("mmcv-wheel", "install", "--force-reinstall", "--no-deps", wheel)
    shell.install("mmcv-dependencies", request.requirement)
    return is_working(shell, request)


def build(shell: Shell, request: MmcvRequest, folder: Path) -> Path:
    """Compiles mmcv against the installed torch and returns the wheel, which is in `folder`.

    Raises:
        SetupError: a compiler is missing, or the build failed.
    """
    archs = request.archs
    require_compilers(request.torch.cuda if archs else None)
    tree = prepare_source(shell, request.requirement, request.torch.cxx, request.build_tree)
    env = cuda_environment(find_nvcc() or "", request.torch) if archs else {}
    flags = compiler_flags()
    standard = f"-std=c++{named_standard(tree)}"
    headers = precompile(shell, request.torch, f"{flags} {standard}", request.build_tree)
    env |= {
        "MMCV_WITH_OPS": "1",
        "CFLAGS": f"{flags} {headers}".strip(),
        "MAX_JOBS": os.environ.get("MAX_JOBS")
        or str(max_jobs(cores(), free_memory(), GIB_PER_JOB[request.device])),
        "FORCE_CUDA": "1" if archs else "0",
        **({"TORCH_CUDA_ARCH_LIST": archs} if archs else {}),
    }
    say(f"compiling for {f'CUDA {archs}' if archs else 'the CPU'}, {env['MAX_JOBS']} job(s)")
    # Not isolated, or pip would compile against another torch. A second call finds the objects of
    # the first: ninja compiles what is missing.
    arguments = ("wheel", "-v", "--no-build-isolation", "--no-deps", "--no-cache-dir")
    cuda_files = count_cuda_files(tree) if archs else 0
    progress = Progress(shell.logs / "mmcv-build.log", cuda_files, count_archs(archs or ""))
    shell.pip("mmcv-build", *arguments, "-w", folder, tree, env=env, on_line=progress)
    return next(folder.glob("*.whl"))


def compiler_flags() -> str:
    """Returns CFLAGS: Python's own, or those that are set, without debugging symbols.

    The symbols take half the time and 30 MB. setuptools takes CFLAGS *instead of* Python's flags,
    and without optimisation `nms` took 136 ms instead of 41 (3000 boxes) and `roi_align` 881
    instead of 417 (300 boxes, 256 channels; EPYC, one thread, g++ 12).
    """
    flags = os.environ.get("CFLAGS") or sysconfig.get_config_var("CFLAGS") or "-O2"
    return f"{flags} -g0"


def parse_progress(line: str) -> tuple[int, int] | None:
    """Returns ninja's `[done/total]`, or None if the line has none."""
    match = re.match(r"\s*\[(\d+)/(\d+)\] ", line)
    return (int(match.group(1)), int(match.group(2))) if match else None


def count_cuda_files(tree: Path) -> int:
    """Returns how many CUDA files of mmcv's source tree are still to be compiled."""
    sources = {path.stem for path in tree.glob("mmcv/ops/csrc/pytorch/cuda/*.cu")}
    objects = tree.glob("build/temp*/**/cuda/*.o")
    return len(sources - {path.name.partition(".")[0] for path in objects})


def count_archs(archs: str) -> int:
    """Returns how many architectures a TORCH_CUDA_ARCH_LIST such as `8.0;9.0+PTX` names."""
    return len(re.findall(r"[^; ]+", archs))


class Progress:
    """Shows a compilation: one line that is renewed in a terminal, else a line now and then.

    The time left counts a CUDA file as several others: with equal weights the estimate would follow
    the kind of file that happens to come first.

    Args:
        log: where the whole output goes.
        cuda_files: how many of the files are CUDA.
        archs: how many architectures each of these is compiled for.
        interval: seconds between lines outside a terminal.
    """

    def __init__(
        self, log: Path, cuda_files: int = 0, archs: int = 1, interval: float = 30.0
    ) -> None:
        self.terminal = sys.stdout.isatty()
        self.interval = 0.2 if self.terminal else interval
        self.start = self.shown = time.monotonic()
        self.weight = CUDA_WEIGHT * archs
        self.extra = cuda_files * (self.weight - 1)
        self.done = 0.0
        say(f"log: {log}")

    def __call__(self, line: str) -> None:
        """Takes one line of the compiler's output."""
        progress, now = parse_progress(line), time.monotonic()
        if progress is None:
            return
        done, total = progress
        self.done += self.weight if re.search(r"\.cu\b", line) else 1
        if done < total and now - self.shown < self.interval:
            return
        self.shown = now
        spent = now - self.start
        left = show_seconds(spent / self.done * max(total + self.extra - self.done, 0))
        text = f"compiled {done}/{total} in {show_seconds(spent)}, about {left} left"
        if self.terminal:
            print(f"\r      {text}   ", end="\n" if done == total else "", flush=True)
        else:
            say(text)


def store(wheel: Path, cache: Path) -> None:
    """Puts a wheel into the cache in one step, so that a killed setup leaves no half of it."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        shutil.copyfile(wheel, Path(folder, wheel.name))
        Path(folder, wheel.name).replace(cache / wheel.name)
