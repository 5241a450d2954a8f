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
        *("<-m>", "<mmvan.engine.launch>", "<--standalone>", "<--local-addr>", "<127.0.0.1>"),
        *("<--nproc-per-node>", "<3>"),
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
        *("<--signal=USR1@120>", "<--qos=high>", "<--exclusive>", f"<{recorder}/python>", "<-u>"),
        *(f"<{TOOLS}/train.py>", "<a b.py>", "<--resume>", "<--launcher>", "<slurm>"),
    ]
    assert 20000 <= int(words[-1].rpartition(" ")[2]) < 40000


def test_slurm_without_a_number_takes_one_node(recorder: Path) -> None:
    _, words = record("slurm_test.sh", "p", "j", "van.py", "w.pth", "--tta", path=recorder)
    assert words[2:5] == ["<--gres=gpu:8>", "<--ntasks=8>", "<--ntasks-per-node=8>"]
    assert words[-6:-1] == ["<van.py>", "<w.pth>", "<--tta>", "<--launcher>", "<slurm>"]


def write_program(file: Path, body: str) -> None:
    file.write_text(f"#!/usr/bin/env bash\n{body}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def test_slurm_goes_on_after_the_warning_before_its_limit(recorder: Path) -> None:
    """Without a batch job, srun is started again; the third time it ends well."""
    count = recorder / "count"
    body = f'echo "${{@: -2}}" >>"{count}"; (($(wc -l <"{count}") < 3)) && exit 75; exit 0'
    write_program(recorder / "srun", body)
    status, _ = record("slurm_train.sh", "p", "j", "van.py", "1", path=recorder, SLURM_JOB_ID="")
    assert status == 0
    again = "slurm --resume"
    assert count.read_text().splitlines() == ["--launcher slurm", again, "--resume --resume"]


def test_slurm_requeues_a_batch_job(recorder: Path) -> None:
    write_program(recorder / "srun", 'echo "$@"; exit 75')
    write_program(recorder / "scontrol", 'echo "scontrol $*"')
    job = {"SLURM_JOB_ID": "42", "SLURM_RESTART_COUNT": "1"}
    status, words = record("slurm_train.sh", "p", "j", "van.py", "1", path=recorder, **job)
    assert status == 75
    assert words[0].endswith("--launcher slurm --resume")
    assert words[1:] == ["scontrol requeue 42"]


def test_slurm_passes_a_signal_on_and_returns_the_status(recorder: Path) -> None:
    write_program(
        recorder / "srun", "trap 'echo ended; exit 143' TERM; echo up; while :; do sleep 0.05; done"
    )
    process = subprocess.Popen(
        [str(TOOLS / "slurm_train.sh"), "p", "j", "van.py", "1"],
        env={**os.environ, "PATH": f"{recorder}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.terminate()
    assert process.communicate(timeout=20)[0] == "ended\n"
    assert process.returncode == 143


def test_nodes_that_come_and_go(recorder: Path) -> None:
    nodes = {"RDZV_ENDPOINT": "node0:29400", "NNODES": "1:2", "MAX_RESTARTS": "5"}
    _, words = record("dist_train.sh", "van.py", "8", path=recorder, LOCAL_ADDR="10.0.0.2", **nodes)
    assert words[2:14] == [
        *("<--rdzv-backend>", "<c10d>", "<--rdzv-endpoint>", "<node0:29400>"),
        *("<--rdzv-id>", "<mmvan>", "<--nnodes>", "<1:2>", "<--max-restarts>", "<5>"),
        *("<--local-addr>", "<10.0.0.2>"),
    ]
    assert words[14:16] == ["<--rdzv-conf>", "<is_host=0>"]
    assert words[19:22] == ["<van.py>", "<--resume>", "<--launcher>"]
    _, words = record("dist_train.sh", "van.py", "8", "--resume", "a.pth", path=recorder, **nodes)
    assert words.count("<--resume>") == 1
    _, words = record("dist_test.sh", "van.py", "w.pth", "8", path=recorder, **nodes)
    assert "<--resume>" not in words


@pytest.mark.parametrize(
    ("settings", "message"),
    (
        ({"NNODES": "1:2"}, "NNODES is '1:2'; expected a positive integer"),
        ({"NNODES": "two", "RDZV_ENDPOINT": "a:1"}, "NNODES is 'two'; expected a number of nodes"),
        ({"MAX_RESTARTS": "-1", "RDZV_ENDPOINT": "a:1"}, "MAX_RESTARTS is '-1'; expected an int"),
        ({"MAX_RESTARTS": "3"}, "MAX_RESTARTS: restarts need RDZV_ENDPOINT=HOST:PORT"),
    ),
)
def test_settings_of_nodes_are_checked(
    settings: dict[str, str], message: str, recorder: Path
) -> None:
    status, words = record("dist_train.sh", "van.py", "8", path=recorder, **settings)
    assert status == 2
    assert words[0].startswith(f"error: {message}")


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
    # Two steps of eight images.
    epochs = ("train_cfg.max_epochs=1", "train_dataloader.dataset.indices=16")
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
