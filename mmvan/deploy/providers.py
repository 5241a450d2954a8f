"""What computes a file: ONNX Runtime's execution providers and OpenVINO's devices, by short names.

ONNX Runtime leaves out a provider that is absent or cannot be loaded, and computes on the CPU with
nothing but a warning. Here whoever asks for a provider gets it, or an error.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmvan.deploy.packages import need, openvino_core
from mmvan.errors import DeployError, did_you_mean


@dataclass(frozen=True)
class _Kind:
    """One provider.

    Args:
        provider: ONNX Runtime's name of it.
        package: The package that has it, of which only one can be installed.
        needs: What it needs beside that package.
        device: The option of the provider that chooses a device; empty if there is no choice.
    """

    provider: str
    package: str
    needs: str = ""
    device: str = ""


_KINDS = {
    "cpu": _Kind("CPUExecutionProvider", "onnxruntime"),
    "cuda": _Kind(
        "CUDAExecutionProvider",
        "onnxruntime-gpu",
        "an NVIDIA driver, and CUDA and cuDNN of the versions that it was built for",
        "device_id",
    ),
    "tensorrt": _Kind(
        "TensorrtExecutionProvider",
        "onnxruntime-gpu",
        "an NVIDIA driver, and CUDA, cuDNN and TensorRT of the versions that it was built for",
        "device_id",
    ),
    "openvino": _Kind(
        "OpenVINOExecutionProvider",
        "onnxruntime-openvino",
        "the drivers of the device",
        "device_type",
    ),
}
PROVIDERS = tuple(_KINDS)
CPU = "cpu"


@dataclass(frozen=True)
class Provider:
    """What computes, and on which device.

    Args:
        name: One of :data:`PROVIDERS`.
        device: Number of a GPU for ``cuda`` and ``tensorrt``, OpenVINO's name of a device for
            ``openvino``; None for the first GPU, or the CPU.
    """

    name: str
    device: str | None = None

    def __str__(self) -> str:
        return self.name if self.device is None else f"{self.name}:{self.device}"


def read_provider(text: str) -> Provider:
    """Read ``NAME`` or ``NAME:DEVICE``, such as ``cuda``, ``cuda:1`` or ``openvino:GPU``.

    Raises:
        DeployError: There is no such provider, or it has no such device.
    """
    name, colon, device = text.partition(":")
    if name not in _KINDS:
        raise DeployError(
            f"--provider {text}: no such provider.{did_you_mean(name, PROVIDERS)} Choose from "
            f"{', '.join(PROVIDERS)}"
        )
    if not colon:
        return Provider(name)
    kind = _KINDS[name]
    if not kind.device or not device or (kind.device == "device_id" and not device.isdecimal()):
        raise DeployError(
            f"--provider {text}: {device!r} is no device of {name}; expected cuda:N or tensorrt:N "
            "with the number of a GPU, or openvino:DEVICE, as in openvino:GPU"
        )
    return Provider(name, device)


def check_provider(provider: Provider, ending: str) -> None:
    """Check that a provider is installed and computes files with an ending.

    Args:
        provider: The provider.
        ending: ``.onnx``, ``.xml``, ``.pt`` or ``.pt2``.

    Raises:
        DeployError: It is not, or does not; the message names those that are there.
    """
    if ending == ".onnx":
        _check_onnxruntime(provider)
    elif ending == ".xml":
        openvino_device(openvino_core("a file .xml"), provider)
    elif provider != Provider(CPU):
        raise DeployError(
            f"--provider {provider}: a file {ending} is computed by PyTorch on the CPU; "
            "expected cpu, or a file .onnx"
        )


def open_session(file: Path, threads: int | None, provider: Provider) -> Any:
    """Open an ONNX file in ONNX Runtime.

    Args:
        file: The ``.onnx``.
        threads: Threads on the CPU; None for what ONNX Runtime chooses.
        provider: What is to compute. What it cannot, ONNX Runtime computes on the CPU, operator by
            operator.

    Returns:
        Any: The ``onnxruntime.InferenceSession``, in which the provider is loaded.

    Raises:
        DeployError: It is not installed, or cannot be loaded.
    """
    runtime = need("onnxruntime", f"{file}")
    _check_onnxruntime(provider)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3  # Errors; its warnings are about its own optimisations.
    wanted = _providers(provider, threads)
    if provider.name == CPU:
        return runtime.InferenceSession(file, options, providers=wanted)
    try:
        session = runtime.InferenceSession(file, options, providers=wanted, enable_fallback=False)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise _not_loaded(provider, file, f"ONNX Runtime says: {reason}") from error
    loaded = session.get_providers()
    if _KINDS[provider.name].provider not in loaded:
        used = ", ".join(loaded)
        raise _not_loaded(provider, file, f"ONNX Runtime uses {used} alone, and says why above")
    return session


def openvino_device(core: Any, provider: Provider) -> str:
    """OpenVINO's name of the device that computes a file ``.xml``.

    Args:
        core: OpenVINO's ``Core``.
        provider: ``cpu``, or ``openvino`` with a device.

    Raises:
        DeployError: It is another provider, or the device is not there.
    """
    devices: list[str] = core.available_devices
    device = provider.device or "CPU"
    # A machine with two GPUs has GPU.0 and GPU.1; GPU is the first of them.
    present = any(name == device or name.startswith(f"{device}.") for name in devices)
    if provider.name not in ("cpu", "openvino") or not present:
        raise DeployError(
            f"--provider {provider}: OpenVINO has no such device here; for a file .xml expected "
            f"cpu, or openvino:DEVICE with one of {', '.join(devices)}"
        )
    return device


def _check_onnxruntime(provider: Provider) -> None:
    kind = _KINDS[provider.name]
    present = need("onnxruntime", "a file .onnx").get_available_providers()
    if kind.provider in present:
        return
    packages = {other.package for other in _KINDS.values()} - {kind.package}
    raise DeployError(
        f"--provider {provider}: this ONNX Runtime has no {kind.provider}, but "
        f"{', '.join(present)}. It comes with {kind.package}, and only one ONNX Runtime can be "
        f"installed: pip uninstall the one that is there ({', '.join(sorted(packages))}), then pip "
        f"install {kind.package}"
    )


def _providers(provider: Provider, threads: int | None) -> list[tuple[str, dict[str, str]]]:
    """What ONNX Runtime is to try, in this order; the CPU is always the last."""
    kind = _KINDS[provider.name]
    if provider.name == "openvino":
        # Its own defaults depend on how the package was built.
        options = {"device_type": provider.device or "CPU"}
        options |= {"num_of_threads": str(threads)} if threads else {}
        return [(kind.provider, options)]
    device = {kind.device: provider.device} if provider.device is not None else {}
    # float32 as on the CPU: TF32 has 10 bits of mantissa.
    cuda = (_KINDS["cuda"].provider, {**device, "use_tf32": "0"})
    # CUDA computes what TensorRT does not have.
    chosen = {"cuda": [cuda], "tensorrt": [(kind.provider, device), cuda]}
    return chosen.get(provider.name, [(kind.provider, {})])


def _not_loaded(provider: Provider, file: Path, what: str) -> DeployError:
    kind = _KINDS[provider.name]
    return DeployError(
        f"--provider {provider}: {kind.provider} is installed but does not compute {file}; "
        f"{what}. It needs {kind.needs}. --provider cpu computes without it"
    )
