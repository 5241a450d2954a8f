import os
import pickle
import stat
import subprocess
from pathlib import Path

import pytest

from tests.tools.workplace import CONFIGS, COUNTS, TOOLS, Workplace

DETECTOR = CONFIGS / "detection" / "van_t_maskrcnn_sample.py"
LAUNCHERS = ("dist_train.sh", "dist_test.sh", "slurm_train.sh", "slurm_test.sh")
RECORDER = '#!/usr/bin/env bash\nfor word in "$@"; do echo "<$word>"; done\n{}\nexit 7\n'


@pytest.fixture
def recorder(tmp_path: Path) -> Path:
    """A directory with an `srun` and a `python` that print their arguments and end with 7."""
    for name in ("srun", "python"):
        program = tmp_path / name
        program.write_text(RECORDER.format('echo "threads $OMP_NUM_THREADS port $MASTER_PORT"'))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def record(script: str, *arguments: str, path: Path, **environment: str) -> tuple[int, list[str]]:
    """Start a launcher with recording programs; its status and the words that these received."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "PORT")}
    done = subprocess.run(
        [str(TOOLS / script), *arguments],
        env={
            **inherited,
            "PATH": f"{path}:{os.environ['PATH']}",
            "PYTHON": str(path / "python"),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


@pytest.mark.parametrize("script", (*LAUNCHERS, "launch_common.sh"))
def test_scripts_are_valid(script: str) -> None:
    assert subprocess.run(["bash", "-n", str(TOOLS / script)], check=False).returncode == 0


@pytest.mark.parametrize("script", LAUNCHERS)
def test_missing_arguments_show_the_usage(script: str, recorder: Path) -> None:
    status, words = record(script, path=recorder)
    assert status == 2
    assert words[0].startswith(f"error: usage: {script} ")
    assert any("Environment:" in word for word in words)


@pytest.mark.parametrize("count", ("0", "-1", "two", "1.5", ""))
def test_number_of_processes_must_be_one(count: str, recorder: Path) -> None:
    status, words = record("dist_train.sh", "van.py", count, path=recorder)
    assert status == 2
    assert words == [f"error: GPUS is '{count}'; expected a positive integer"]


def test_one_node_takes_a_free_port(recorder: Path) -> None:
    status, words = record("dist_train.sh", "a b.py", "3", "--x", "c  d", path=recorder)
    assert status == 7
    assert words[:-1] == [
        *("<-m>", "<mmvan.engine.launch>", "<--standalone>", "<--nproc-per-node>", "<3>"),
        *(f"<{TOOLS}/train.py>", "<a b.py>", "<--x>", "<c  d>", "<--launcher>", "<pytorch>"),
    ]
    cores = os.sysconf("SC_NPROCESSORS_ONLN")
    assert words[-1] == f"threads {max(cores // 3, 1)} port "


def test_several_nodes(recorder: Path) -> None:
    nodes = {"NNODES": "2", "NODE_RANK": "1", "MASTER_ADDR": "node 0", "PORT": "1234"}
    _, words = record("dist_test.sh", "van.py", "w.pth", "8", path=recorder, **nodes)
    assert words[2:10] == [
        *("<--nnodes>", "<2>", "<--node-rank>", "<1>"),
        *("<--master-addr>", "<node 0>", "<--master-port>", "<1234>"),
    ]
    assert words[12:15] == [f"<{TOOLS}/test.py>", "<van.py>", "<w.pth>"]


def test_several_nodes_need_an_address(recorder: Path) -> None:
    status, words = record("dist_train.sh", "van.py", "8", path=recorder, NNODES="2")
    assert status == 2
    assert "NNODES=2: set MASTER_ADDR" in words[0]


def test_slurm_passes_everything_on(recorder: Path) -> None:
    settings = {"GPUS_PER_NODE": "4", "CPUS_PER_TASK": "6", "SRUN_ARGS": "--qos=high --exclusive"}
    arguments = ("part", "my job", "a b.py", "16", "--resume")
    status, words = record("slurm_train.sh", *arguments, path=recorder, **settings)
    assert status == 7
    assert words[:-1] == [
        *("<--partition=part>", "<--job-name=my job>", "<--gres=gpu:4>", "<--ntasks=16>"),
        *("<--ntasks-per-node=4>", "<--cpus-per-task=6>", "<--kill-on-bad-exit=1>"),
        *("<--qos=high>", "<--exclusive>", f"<{recorder}/python>", "<-u>"),
        *(f"<{TOOLS}/train.py>", "<a b.py>", "<--resume>", "<--launcher>", "<slurm>"),
    ]
    assert 20000 <= int(words[-1].rpartition(" ")[2]) < 40000


def test_slurm_without_a_number_takes_one_node(recorder: Path) -> None:
    _, words = record("slurm_test.sh", "p", "j", "van.py", "w.pth", "--tta", path=recorder)
    assert words[2:5] == ["<--gres=gpu:8>", "<--ntasks=8>", "<--ntasks-per-node=8>"]
    assert words[-6:-1] == ["<van.py>", "<w.pth>", "<--tta>", "<--launcher>", "<slurm>"]


@pytest.mark.slow
def test_error_of_a_process_is_said_once(workplace: Workplace) -> None:
    root = "train_dataloader.dataset.data_root=data/sample/cocoo"
    options = ("--cfg-options", root, "model.backbone.init_cfg=None")
    message = workplace.refuse("dist_train.sh", DETECTOR, "2", *options)
    assert message.count("error: ") == 1
    assert "data/sample/cocoo" in message


@pytest.mark.slow
def test_detection_on_two_processes(workplace: Workplace, classifier: Path, tmp_path: Path) -> None:
    start = f"model.backbone.init_cfg.checkpoint={classifier.relative_to(workplace.root)}"
    epochs = ("train_cfg.max_epochs=1", "train_cfg.val_interval=1")
    log = workplace.succeed(
        *("dist_train.sh", DETECTOR, "2", "--accumulate", "2", "--auto-scale-lr"),
        *("--cfg-options", start, *epochs),
    )
    assert "2 x cpu (no GPU found, connected by gloo) | 2 processes x batch 2 x accum" in log
    assert "accumulation 2 = effective batch 8 | " in log
    assert "lr 0.0016 | recipe: batch 4, lr 0.0008: 0.5 times this batch, lr scaled" in log
    assert "Scaling the original LR by 2.0" in log
    assert "coco/segm_mAP_50" in log

    weights = workplace.root / "work_dirs" / "van_t_maskrcnn_sample" / "epoch_1.pth"
    out = tmp_path / "predictions.pkl"
    log = workplace.succeed("dist_test.sh", DETECTOR, weights, "2", "--out", out)
    assert "2 x cpu (no GPU found, connected by gloo)" in log
    assert "coco/bbox_mAP" in log
    assert len(pickle.loads(out.read_bytes())) == COUNTS["det"][1]
