import os
import socket
import subprocess
from copy import deepcopy

import pytest
import torch
from mmengine.config import Config

from mmvan.engine import processes
from mmvan.engine.processes import (
    Processes,
    read_processes,
    use_cpu_data_parallel,
    use_plain_batch_norm,
)
from mmvan.errors import ConfigError
from tests.forks import forked_python

STARTERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in STARTERS:
        monkeypatch.setenv(name, "")  # registers the old value, also where there was none
        monkeypatch.delenv(name)


def test_no_launcher_means_one_process() -> None:
    alone = read_processes("none")
    assert alone == Processes("none", rank=0, local_rank=0, world_size=1, local_size=1)
    assert not alone.distributed


@pytest.mark.parametrize(
    ("launcher", "environment", "expected"),
    (
        (
            "pytorch",
            {"RANK": "9", "LOCAL_RANK": "1", "WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8"},
            Processes("pytorch", rank=9, local_rank=1, world_size=16, local_size=8),
        ),
        (
            "slurm",
            {"SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NTASKS": "4"},
            Processes("slurm", rank=3, local_rank=1, world_size=4, local_size=2),
        ),
        (
            "mpi",
            {
                "OMPI_COMM_WORLD_RANK": "3",
                "OMPI_COMM_WORLD_LOCAL_RANK": "1",
                "OMPI_COMM_WORLD_SIZE": "4",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
            },
            Processes("mpi", rank=3, local_rank=1, world_size=4, local_size=2),
        ),
    ),
)
def test_launchers_tell_who_a_process_is(
    launcher: str,
    environment: dict[str, str],
    expected: Processes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert read_processes(launcher) == expected
    assert os.environ["LOCAL_RANK"] == "1"


@pytest.mark.parametrize(
    ("launcher", "starter"), (("pytorch", "torchrun"), ("slurm", "srun"), ("mpi", "mpirun"))
)
def test_launcher_that_did_not_start_the_process(launcher: str, starter: str) -> None:
    with pytest.raises(ConfigError, match=f"--launcher {launcher}: .*(RANK|PROCID)") as error:
        read_processes(launcher)
    assert f"{starter} did not start this process" in str(error.value)


def test_copies_of_a_whole_training_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"torchrun started 2 processes\. Add --launcher pytorch"):
        read_processes("none")


def test_announce_speaks_once(capsys: pytest.CaptureFixture[str]) -> None:
    for rank in range(3):
        Processes("pytorch", rank=rank, world_size=3).announce("hello")
    assert capsys.readouterr().out == "hello\n"


def test_cpu_data_parallel_keeps_the_configs_own_wrapper_settings() -> None:
    cfg = Config({"find_unused_parameters": True, "model_wrapper_cfg": {"static_graph": True}})
    use_cpu_data_parallel(cfg)
    assert cfg.env_cfg.dist_cfg.backend == "gloo"
    assert cfg.model_wrapper_cfg == {
        "type": "MMDistributedDataParallel",
        "broadcast_buffers": True,
        "find_unused_parameters": True,
        "static_graph": True,
        "device_ids": None,
    }


def test_plain_batch_norm_replaces_every_synchronised_one() -> None:
    model = {
        "backbone": {"type": "mmvan.VAN", "norm_cfg": {"type": "SyncBN", "eps": 1e-6}},
        "decode_head": [
            {"norm_cfg": {"type": "mmcv.MMSyncBN"}},
            {"norm_cfg": {"type": torch.nn.SyncBatchNorm}},
            {"norm_cfg": {"type": "GN", "num_groups": 32}},
        ],
    }
    cfg = Config({"model": deepcopy(model), "sync_bn": "torch"})
    assert use_plain_batch_norm(cfg) == 4
    assert cfg.model.backbone == {"type": "mmvan.VAN", "norm_cfg": {"type": "BN", "eps": 1e-6}}
    assert [head.norm_cfg.type for head in cfg.model.decode_head] == ["BN", "BN", "GN"]
    assert cfg.sync_bn is None
    assert use_plain_batch_norm(cfg) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


ADD_RANKS = """
import sys, torch, torch.distributed as dist
from mmengine.config import Config
from mmvan.engine.processes import Processes, start_gloo
rank = int(sys.argv[1])
cfg = Config({"env_cfg": {"dist_cfg": {"timeout": 60}}})
start_gloo(cfg, Processes("mpi", rank, rank, world_size=2, local_size=2))
total = torch.tensor(rank + 1)
dist.all_reduce(total)
print(total.item())
"""


def test_gloo_connects_processes_of_a_launcher_other_than_torchrun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    children = [
        subprocess.Popen(
            [forked_python(), "-c", ADD_RANKS, str(rank)], stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    outputs = [child.communicate(timeout=120)[0] for child in children]
    assert [output.strip() for output in outputs] == ["3", "3"]
    assert [child.returncode for child in children] == [0, 0]


def test_mpi_on_several_nodes_needs_an_address() -> None:
    with pytest.raises(ConfigError, match="set MASTER_ADDR"):
        processes._first_host(Processes("mpi", world_size=4, local_size=2))


def test_slurm_asks_for_its_first_host(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []

    def scontrol(command: list[str], **_: object) -> object:
        calls.append(command)
        return type("Completed", (), {"stdout": "node3\nnode4\n"})

    monkeypatch.setenv("SLURM_NODELIST", "node[3-4]")
    monkeypatch.setattr(processes.subprocess, "run", scontrol)
    assert processes._first_host(Processes("slurm", world_size=4, local_size=2)) == "node3"
    assert calls == [["scontrol", "show", "hostnames", "node[3-4]"]]
