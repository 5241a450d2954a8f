"""Who asks for a provider gets it or an error: ONNX Runtime itself would compute on the CPU."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from mmvan.cli.main import main
from mmvan.deploy import providers
from mmvan.deploy.contract import INPUT_NAME, KEY, Contract
from mmvan.deploy.export import Export
from mmvan.deploy.formats import convert_to_openvino
from mmvan.deploy.providers import Provider, check_provider, openvino_device, read_provider
from mmvan.deploy.runtimes import open_runtime
from mmvan.errors import DeployError
from tests.deploy.small import request

CPU, CUDA, TENSORRT, OPENVINO = (
    f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt", "OpenVINO")
)
SHAPE = (1, 3, 4, 6)
CONTRACT = Contract(
    task="detection",
    part="features",
    outputs=("map_0",),
    batch=1,
    height=SHAPE[2],
    width=SHAPE[3],
    dynamic=False,
    precision="fp32",
    folded=False,
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
    classes=(),
    palette=(),
    scope="mmdet",
    pipeline=(),
    config="",
    checkpoint="",
    version="",
)


class FakeRuntime:
    """ONNX Runtime with providers that are installed, and those of them that load."""

    SessionOptions = SimpleNamespace

    def __init__(self, installed: tuple[str, ...], loads: tuple[str, ...] | Exception) -> None:
        self.installed, self.loads = installed, loads
        self.asked: list[Any] = []

    def get_available_providers(self) -> list[str]:
        return list(self.installed)

    def InferenceSession(self, file: Path, options: Any, **given: Any) -> Any:  # noqa: N802
        self.asked.append(given)
        if isinstance(self.loads, Exception):
            raise self.loads
        loads = list(self.loads)
        described = SimpleNamespace(custom_metadata_map={KEY: CONTRACT.to_text()})
        return SimpleNamespace(get_providers=lambda: loads, get_modelmeta=lambda: described)


@pytest.fixture
def fake(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> FakeRuntime:
    runtime = FakeRuntime(*request.param)
    monkeypatch.setattr(providers, "need", lambda *_: runtime)
    return runtime


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    """A graph that gives the images as they are, in float32."""
    one = onnx.helper.make_tensor_value_info
    kinds = onnx.TensorProto
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Cast", [INPUT_NAME], ["map_0"], to=kinds.FLOAT)],
        "graph",
        [one(INPUT_NAME, kinds.UINT8, SHAPE)],
        [one("map_0", kinds.FLOAT, SHAPE)],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.helper.set_model_props(model, {KEY: CONTRACT.to_text()})
    onnx.save(model, tmp_path / "van.onnx")
    return tmp_path / "van.onnx"


NVIDIA = (TENSORRT, CUDA, CPU)
LOADED: dict[str, tuple[tuple[str, ...], list[tuple[str, dict[str, str]]]]] = {
    "cuda": (NVIDIA, [(CUDA, {"use_tf32": "0"})]),
    "cuda:1": (NVIDIA, [(CUDA, {"device_id": "1", "use_tf32": "0"})]),
    "tensorrt:1": (
        NVIDIA,
        [(TENSORRT, {"device_id": "1"}), (CUDA, {"device_id": "1", "use_tf32": "0"})],
    ),
    "openvino": ((OPENVINO, CPU), [(OPENVINO, {"device_type": "CPU", "num_of_threads": "3"})]),
    "openvino:GPU": ((OPENVINO, CPU), [(OPENVINO, {"device_type": "GPU", "num_of_threads": "3"})]),
}


@pytest.mark.parametrize(
    ("provider", "fake"),
    [(name, (present, present)) for name, (present, _) in LOADED.items()],
    indirect=["fake"],
    ids=LOADED,
)
def test_a_provider_is_asked_for_with_its_device(
    provider: str, fake: FakeRuntime, onnx_file: Path
) -> None:
    assert open_runtime(onnx_file, 3, provider).contract == CONTRACT
    assert fake.asked == [{"providers": LOADED[provider][1], "enable_fallback": False}]


@pytest.mark.parametrize(
    ("provider", "package", "fake"),
    (
        ("cuda", "onnxruntime-gpu", ((OPENVINO, CPU), (CPU,))),
        ("tensorrt", "onnxruntime-gpu", ((OPENVINO, CPU), (CPU,))),
        ("openvino", "onnxruntime-openvino", ((CUDA, CPU), (CPU,))),
    ),
    indirect=["fake"],
)
def test_an_absent_provider_is_named_with_its_package(
    provider: str, package: str, fake: FakeRuntime, onnx_file: Path
) -> None:
    with pytest.raises(DeployError, match=rf"^--provider {provider}: this ONNX ") as error:
        open_runtime(onnx_file, 1, provider)
    assert f"but {', '.join(fake.installed)}." in str(error.value)
    assert str(error.value).endswith(f"then pip install {package}")
    assert fake.asked == []


@pytest.mark.parametrize(
    ("fake", "what"),
    (
        ((NVIDIA, (CPU,)), f"ONNX Runtime uses {CPU} alone"),
        ((NVIDIA, RuntimeError("no\nlibcublas")), "ONNX Runtime says: no libcublas"),
    ),
    indirect=["fake"],
)
def test_a_provider_that_does_not_load_is_an_error(
    fake: FakeRuntime, what: str, onnx_file: Path
) -> None:
    with pytest.raises(DeployError, match=f"{CUDA} is installed but does not compute ") as error:
        open_runtime(onnx_file, 1, "cuda")
    assert what in str(error.value)
    assert "CUDA and cuDNN of the versions that it was built for" in str(error.value)
    assert len(fake.asked) == 1


def test_the_runtime_that_is_installed_has_no_cuda(onnx_file: Path) -> None:
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("ONNX Runtime for GPUs is installed")
    with pytest.raises(DeployError, match=f"no {CUDA}, but .*{CPU}"):
        open_runtime(onnx_file, 1, "cuda")
    images = np.arange(72, dtype=np.uint8).reshape(SHAPE)
    assert np.array_equal(open_runtime(onnx_file, 1, "cpu").run(images)[0], images)


def test_openvino_takes_its_own_devices(onnx_file: Path) -> None:
    file = onnx_file.with_suffix(".xml")
    convert_to_openvino(onnx_file, CONTRACT, file)
    images = np.arange(72, dtype=np.uint8).reshape(SHAPE)
    for provider in ("cpu", "openvino", "openvino:CPU"):
        assert np.array_equal(open_runtime(file, 1, provider).run(images)[0], images)
    with pytest.raises(DeployError, match=r"openvino:TPU: OpenVINO has no .* one of .*CPU"):
        open_runtime(file, 1, "openvino:TPU")


def test_a_device_may_be_the_first_of_several() -> None:
    core = SimpleNamespace(available_devices=["CPU", "GPU.0", "GPU.1"])
    assert openvino_device(core, Provider("cpu")) == "CPU"
    assert openvino_device(core, Provider("openvino", "GPU")) == "GPU"
    assert openvino_device(core, Provider("openvino", "GPU.1")) == "GPU.1"
    for provider in (Provider("openvino", "GPU.2"), Provider("cuda"), Provider("openvino", "G")):
        with pytest.raises(DeployError, match=r"openvino:DEVICE with one of CPU, GPU\.0, GPU\.1"):
            openvino_device(core, provider)


def test_pytorch_computes_on_the_cpu(tmp_path: Path) -> None:
    check_provider(Provider("cpu"), ".pt2")
    torch.jit.save(torch.jit.script(torch.nn.Identity()), str(tmp_path / "van.pt"))
    with pytest.raises(DeployError, match=r"--provider cuda: a file \.pt is computed by PyTorch"):
        open_runtime(tmp_path / "van.pt", 1, "cuda")


@pytest.mark.parametrize(
    ("text", "message"),
    (
        ("openvin", r"no such provider\. Did you mean openvino\? Choose from cpu, cuda, tensorrt"),
        ("cuda:x", "'x' is no device of cuda; expected cuda:N"),
        ("openvino:", "'' is no device of openvino"),
        ("cpu:0", "'0' is no device of cpu"),
    ),
)
def test_what_is_no_provider_is_named(text: str, message: str) -> None:
    with pytest.raises(DeployError, match=f"--provider {text}: {message}"):
        read_provider(text)
    assert str(read_provider("cuda:1")) == "cuda:1"
    assert read_provider("tensorrt") == Provider("tensorrt")


def test_the_commands_have_the_option(
    onnx_file: Path,
    tmp_path: Path,
    checkpoints: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(providers, "need", lambda *_: FakeRuntime((CPU,), (CPU,)))
    with pytest.raises(SystemExit) as end:
        main(["infer-exported", str(onnx_file), str(tmp_path), "--provider", "openvino:GPU"])
    assert end.value.code == 2
    assert f"no {OPENVINO}, but {CPU}." in capsys.readouterr().err
    task = "classification"
    asked = request(task, checkpoints[task], "onnx", tmp_path, provider="tensorrt")
    with pytest.raises(DeployError, match=f"no {TENSORRT}"):  # Before the model is built.
        Export(asked)
