"""Two hosts, as network namespaces of this machine: one of them is killed and comes back."""

import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from mmvan.checkpoint.reading import read_checkpoint
from tests.forks import forked_launch
from tests.tools.workplace import CONFIGS, PROJECT, TIMEOUT, TOOLS, Workplace

EPOCHS = 4
EXACT_RESUME = importlib.util.find_spec("mmvan.engine.checkpoint_hook") is not None


def fault_of_namespaces() -> str | None:
    """Why this machine cannot make network namespaces, or None."""
    if os.geteuid():
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need ip, of iproute2"
    name = f"mmvan-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"no network namespace can be made here: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", name], check=True)
    return None


class Host:
    """A network namespace with one address, in which processes are started."""

    def __init__(self, name: str, device: str, address: str) -> None:
        self.name, self.device, self.address = name, device, address

    def ip(self, *arguments: str) -> str:
        command = ["ip", "-n", self.name, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def train(self, root: Path, log: Path, *options: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            **forked_launch(),
            "GLOO_SOCKET_IFNAME": self.device,
            "LOCAL_ADDR": self.address,
            "RDZV_ENDPOINT": "10.231.77.1:29417",
            "NNODES": "2",
        }
        config = str(CONFIGS / "classification" / "van_t_in1k_sample.py")
        launcher = [str(TOOLS / "dist_train.sh"), config, "1", *options]
        with log.open("a") as stream:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.name, *launcher],
                cwd=root,
                env=environment,
                stdout=stream,
                stderr=stream,
                text=True,
            )

    def kill(self) -> int:
        """End every process on the host as a power cut does; returns how many there were."""
        command = ["ip", "netns", "pids", self.name]
        pids = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        subprocess.run(["kill", "-9", *pids], check=False) if pids else None
        return len(pids)


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    fault = fault_of_namespaces()
    if fault:
        pytest.skip(fault)
    pid = os.getpid()
    pair = tuple(Host(f"mmvan-{pid}-{i}", f"mv{i}", f"10.231.77.{i + 1}") for i in range(2))
    try:
        for host in pair:
            subprocess.run(["ip", "netns", "add", host.name], check=True)
            host.ip("link", "set", "lo", "up")
        first, second = pair
        ends = [*("peer", "name", second.device, "netns", second.name)]
        first.ip("link", "add", first.device, "type", "veth", *ends)
        for host in pair:
            host.ip("address", "add", f"{host.address}/24", "dev", host.device)
            host.ip("link", "set", host.device, "up")
        yield first, second
    finally:
        for host in pair:
            host.kill()
            subprocess.run(["ip", "netns", "delete", host.name], check=False)


def wait_for(condition: Callable[[], bool], *logs: Path) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "\n".join(log.read_text() for log in logs)
        time.sleep(0.1)


def train(
    hosts: tuple[Host, Host], root: Path, name: str, kill_after: str | None
) -> dict[str, Any]:
    """The last checkpoint of a run on both hosts, of which the second may be killed once."""
    work_dir = root / name
    logs = [root / f"{name}_{index}.log" for index in range(2)]
    options = (
        *(
            "--work-dir",
            str(work_dir),
            "--seed",
            "1",
            "--deterministic",
            "--no-validate",
            "--cfg-options",
        ),
        *(f"train_cfg.max_epochs={EPOCHS}", "train_dataloader.batch_size=5"),
        "default_hooks.checkpoint.max_keep_ckpts=-1",
    )
    first, second = (host.train(root, log, *options) for host, log in zip(hosts, logs, strict=True))
    if kill_after:
        wait_for((work_dir / kill_after).exists, *logs)
        assert hosts[1].kill() >= 2
        second.wait()
        second = hosts[1].train(root, logs[1], *options)
    statuses = [process.wait(TIMEOUT) for process in (first, second)]
    assert statuses == [0, 0], "\n".join(log.read_text() for log in logs)
    return read_checkpoint(work_dir / f"epoch_{EPOCHS}.pth")


@pytest.mark.slow
def test_a_host_that_is_killed_comes_back_and_the_run_ends_as_if_not(
    hosts: tuple[Host, Host], workplace: Workplace
) -> None:
    whole = train(hosts, workplace.root, "whole", kill_after=None)
    cut = train(hosts, workplace.root, "cut", kill_after="epoch_1.pth")
    text = "".join(log.read_text() for log in workplace.root.glob("cut_*.log"))
    assert "resumed epoch: " in text
    for key in ("epoch", "iter", "seed"):
        assert cut["meta"][key] == whole["meta"][key]
    assert cut["state_dict"].keys() == whole["state_dict"].keys()
    steps = {float(state["step"]) for state in cut["optimizer"]["state"].values()}
    assert steps == {2.0 * EPOCHS}
    if EXACT_RESUME:
        torch.testing.assert_close(cut["state_dict"], whole["state_dict"], rtol=0, atol=0)
