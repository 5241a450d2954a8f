"""The checks. Each uses its component and raises if that does not do what it should."""

import shutil
import sys
import tempfile

from mmvan.doctor.families import FAMILIES, find_family, installed_version, pinned
from mmvan.doctor.matrix import Check, Finding

SETUP = "run `python3 tools/setup_env.py` in mmvan's source tree"
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python")


def check_python() -> Finding:
    """Runs on a Python that the pinned releases have wheels for."""
    warning, fix = "", "make the environment with one of those versions"
    newest = 12 if find_family() == "official" else 14
    if not (3, 10) <= sys.version_info[:2] <= (3, newest):
        warning = f"outside 3.10 to 3.{newest}, for which the pinned packages have wheels"
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(f"{version}, {sys.executable}", warning, fix)


def check_family() -> Finding:
    """Finds exactly one framework family.

    Raises:
        RuntimeError: packages of none, or of both, are there.
    """
    family = find_family()
    if family == "both":
        raise RuntimeError(
            "official and onedl packages are mixed; they overwrite each other's files"
        )
    if family == "none":
        raise RuntimeError(
            "neither the official nor the onedl packages are installed: "
            f"pip install 'mmvan[{_fitting_family()}]' beside your own torch, or a new environment"
        )
    return Finding(family)


def _fitting_family() -> str:
    """The family that this Python can have; the official one needs NumPy 1."""
    return "official" if sys.version_info[:2] <= (3, 12) else "onedl"


def check_torch() -> Finding:
    """Differentiates a small product."""
    import torch

    weight = torch.eye(3, requires_grad=True)
    (weight @ torch.ones(3)).sum().backward()
    if weight.grad is None or weight.grad.sum() != 9:
        raise RuntimeError("the gradient of a 3 x 3 product is wrong")
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    return Finding(f"built with {build}, {torch.get_num_threads()} threads")


def check_gpus() -> Finding:
    """Computes on each GPU; a machine without one is fine."""
    import torch

    if torch.cuda.is_available():
        gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        for index in range(len(gpus)):
            torch.ones(8, 8, device=f"cuda:{index}").matmul(
                torch.ones(8, 8, device=f"cuda:{index}")
            )
        torch.cuda.synchronize()
        return Finding(", ".join(f"{gpu.name} {gpu.total_memory / 2**30:.0f} GiB" for gpu in gpus))
    if shutil.which("nvidia-smi") is None:
        return Finding("none here; training runs on the CPU")
    if torch.version.cuda is None:
        fix = "install a CUDA build of torch, then mmcv again"
        return Finding("", "nvidia-smi is here, but torch is built without CUDA", fix)
    fix = "compare `nvidia-smi` with torch's CUDA version; look at CUDA_VISIBLE_DEVICES"
    return Finding("", "nvidia-smi is here, but torch reaches no GPU", fix)


def check_numpy() -> Finding:
    """Shares memory with torch."""
    import numpy as np
    import torch

    array = np.zeros(3, np.float32)
    torch.from_numpy(array).fill_(1)
    if array.sum() != 3:
        raise RuntimeError("torch and NumPy do not share memory")
    if find_family() == "official" and int(np.__version__.partition(".")[0]) >= 2:
        fix = f'pip install "{pinned("numpy")}"'
        return Finding("", "mmcv 2.1.0's adjust_hue overflows on NumPy 2", fix)
    return Finding("shares memory with torch")


def check_opencv() -> Finding:
    """Encodes and decodes a JPEG and resizes it."""
    import cv2
    import numpy as np

    ok, data = cv2.imencode(".jpg", np.full((8, 8, 3), 128, np.uint8))
    image = cv2.resize(cv2.imdecode(data, cv2.IMREAD_COLOR), (4, 4))
    if not ok or abs(int(image.mean()) - 128) > 2:
        raise RuntimeError("a grey JPEG does not come back grey")
    found = {name: version for name in OPENCV if (version := installed_version(name))}
    if len(set(found.values())) > 1:
        mixed = " and ".join(f"{name} {version}" for name, version in found.items())
        fix = f'pip uninstall -y {" ".join(found)}; pip install "{pinned("opencv-python")}"'
        return Finding("", f"{mixed} overwrite each other's files", fix)
    return Finding(f"cv2 {cv2.__version__}: JPEG, resize")


def check_pkg_resources() -> Finding:
    """Asks for a version by pkg_resources, as mmengine does."""
    import pkg_resources

    return Finding(f"pkg_resources finds pip {pkg_resources.get_distribution('pip').version}")


def check_mmengine() -> Finding:
    """Reads a config and steps an optimizer wrapper that is built from it."""
    import torch
    from mmengine.config import Config
    from mmengine.optim import build_optim_wrapper

    config = Config.fromstring("wrapper = dict(optimizer=dict(type='SGD', lr=1.0))", ".py")
    layer = torch.nn.Linear(1, 1, bias=False)
    before = layer.weight.item()
    build_optim_wrapper(layer, config.wrapper).update_params(layer.weight.sum())
    if abs(before - 1 - layer.weight.item()) > 1e-5:
        raise RuntimeError("a step of SGD with rate 1 and gradient 1 does not subtract 1")
    return Finding("config, optimizer step")


def check_mmcv() -> Finding:
    """Resizes and normalises an image."""
    import mmcv
    import numpy as np

    image = mmcv.imresize(np.full((8, 8, 3), 100, np.uint8), (4, 4))
    normal = mmcv.imnormalize(image, np.full(3, 90.0), np.full(3, 10.0))
    if abs(normal - 1).max() > 1e-5:
        raise RuntimeError("(100 - 90) / 10 is not 1")
    return Finding("resize, normalise")


def check_mmcv_ops() -> Finding:
    """Runs non-maximum suppression on the CPU and on each kind of device that torch has.

    Raises:
        RuntimeError: an operator gave a wrong result.
    """
    import torch
    from mmcv.ops import nms

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for device in devices:
        kept = nms(boxes.to(device), torch.tensor([0.9, 0.8, 0.7], device=device), 0.5)[1].tolist()
        if kept != [0, 2]:
            raise RuntimeError(f"nms kept {kept} on {device} instead of [0, 2]")
    return Finding(f"nms on {' and '.join(devices)}")


def check_torchvision() -> Finding:
    """Resizes an image; its compiled operators are not needed."""
    import torch
    import torchvision
    from torchvision.transforms import functional

    if functional.resize(torch.zeros(3, 8, 8), [4, 4], antialias=True).shape != (3, 4, 4):
        raise RuntimeError("an 8 x 8 image does not become 4 x 4")
    compiled = torchvision.extension._has_ops()
    return Finding("resize" + ("" if compiled else "; without compiled operators, which is enough"))


def check_mmpretrain() -> Finding:
    """Computes the loss of a classification head.

    Raises:
        RuntimeError: the loss is wrong, or a newer transformers keeps it from being imported.
    """
    try:
        import mmpretrain.models  # noqa: F401
    except (ImportError, TypeError) as error:
        # mmpretrain imports its language models wherever transformers is, whatever its release.
        transformers = installed_version("transformers")
        if not transformers:
            raise
        raise RuntimeError(
            f"cannot be imported beside transformers {transformers} ({error}): "
            "pip uninstall transformers, or pip install 'transformers<4.50'"
        ) from error
    import torch
    from mmpretrain.registry import MODELS
    from mmpretrain.structures import DataSample

    head = MODELS.build({"type": "mmpretrain.LinearClsHead", "num_classes": 3, "in_channels": 4})
    loss = head.loss((torch.zeros(1, 4),), [DataSample().set_gt_label(1)])["loss"]
    if not loss.isfinite():
        raise RuntimeError(f"a classification head has a loss of {loss.item()}")
    return Finding("classification head, loss")


def check_mmdet() -> Finding:
    """Extracts a region of interest, for which mmdet calls mmcv's operators."""
    import mmdet.models  # noqa: F401
    import torch
    from mmdet.registry import MODELS

    layer = {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 0}
    config = {"roi_layer": layer, "out_channels": 4, "featmap_strides": [4]}
    extractor = MODELS.build({"type": "mmdet.SingleRoIExtractor", **config})
    regions = extractor((torch.ones(1, 4, 16, 16),), torch.tensor([[0.0, 8, 8, 40, 40]]))
    if regions.shape != (1, 4, 7, 7) or regions.mean() != 1:
        raise RuntimeError("RoIAlign of a constant map is not constant")
    return Finding("RoI extractor")


def check_mmseg() -> Finding:
    """Runs a segmentation head."""
    import mmseg.models  # noqa: F401
    import torch
    from mmseg.registry import MODELS

    sizes = {"in_channels": [4], "in_index": [0], "channels": 4, "num_classes": 3}
    head = MODELS.build({"type": "mmseg.FPNHead", "feature_strides": [4], **sizes})
    shape = tuple(head.eval()((torch.zeros(1, 4, 8, 8),)).shape)
    if shape != (1, 3, 8, 8):
        raise RuntimeError(f"3 classes on an 8 x 8 map give an output of {shape}")
    return Finding("segmentation head")


def check_van() -> Finding:
    """Runs the smallest VAN forward and backward.

    Raises:
        RuntimeError: the outputs or gradients are not as they should be.
    """
    import torch

    from mmvan import VAN

    model = VAN(arch="b0", drop_path_rate=0.1)
    outputs = model(torch.rand(2, 3, 32, 32))
    sizes = [output.shape[-1] for output in outputs]
    if sizes != [8, 4, 2, 1]:
        raise RuntimeError(f"a 32 x 32 image gives maps of {sizes} instead of [8, 4, 2, 1]")
    sum(output.sum() for output in outputs).backward()
    count = sum(parameter.numel() for parameter in model.parameters())
    if any(parameter.grad is None for parameter in model.parameters()):
        raise RuntimeError("some parameters got no gradient")
    return Finding(f"b0, {count / 1e6:.1f} M parameters, forward and backward")


def check_native_operators() -> Finding:
    """Builds VAN's C operators and compares one with PyTorch's; there are slower ways without.

    Raises:
        RuntimeError: it computes something else.
    """
    import torch

    from mmvan.ops import depthwise_gelu
    from mmvan.ops.native.support import build_fault

    if fault := build_fault():
        fix = "install a C compiler with OpenMP (gcc), or name one by CC"
        return Finding("", f"slower ones are used on CPUs: {fault}", fix)
    inputs = torch.rand(1, 16, 9, 9), torch.rand(16, 1, 3, 3), torch.rand(16)
    ours, theirs = (depthwise_gelu(*inputs, backend=name) for name in ("native", "torch"))
    if not torch.allclose(ours, theirs, atol=1e-5):
        raise RuntimeError("a depthwise convolution in C differs from PyTorch's")
    return Finding("depthwise convolution in C, compiled here")


def check_safetensors() -> Finding:
    """Writes and reads a tensor."""
    import torch
    from safetensors.torch import load, save

    return Finding(f"{load(save({'x': torch.ones(3)}))['x'].numel()} numbers written and read")


def check_tensorboard() -> Finding:
    """Writes an event file."""
    from torch.utils.tensorboard import SummaryWriter

    with tempfile.TemporaryDirectory() as folder, SummaryWriter(folder) as writer:
        writer.add_scalar("x", 1.0)
    return Finding("event file written")


def check_onnxruntime() -> Finding:
    """Lists the providers."""
    import onnxruntime

    return Finding(", ".join(onnxruntime.get_available_providers()))


def check_openvino() -> Finding:
    """Lists the devices."""
    import openvino

    return Finding(", ".join(openvino.Core().available_devices))


def check_transformers() -> Finding:
    """Builds a configuration."""
    from transformers import PretrainedConfig

    return Finding(f"configuration with {PretrainedConfig(num_labels=3).num_labels} labels")


def check_triton() -> Finding:
    """Uses the compiler's front end; kernels need a GPU."""
    import triton

    return Finding(f"{triton.cdiv(10, 4)} blocks of 4 for 10 elements")


def make_checks() -> list[Check]:
    """Returns all checks, in the order shown."""
    names = FAMILIES["onedl" if find_family() == "onedl" else "official"]

    def install(distribution: str) -> str:
        return f'pip install "{pinned(distribution)}"'

    built = "mmcv must be compiled against the installed torch: " + SETUP
    both = f"one environment per family: {SETUP} --family official or --family onedl"
    optional = {
        "tensorboard": check_tensorboard,
        "onnxruntime": check_onnxruntime,
        "openvino": check_openvino,
        "transformers": check_transformers,
        "triton": check_triton,
    }
    return [
        Check("Python", check_python, "required", fix=SETUP),
        Check("framework family", check_family, "required", fix=both),
        Check("torch", check_torch, "required", "torch", install("torch")),
        Check("GPUs", check_gpus, "task", fix=SETUP),
        Check("NumPy", check_numpy, "required", "numpy", install("numpy")),
        Check("OpenCV", check_opencv, "required", "opencv-python", install("opencv-python")),
        Check("setuptools", check_pkg_resources, "task", "setuptools", install("setuptools")),
        Check(
            "mmengine", check_mmengine, "required", names["mmengine"], install(names["mmengine"])
        ),
        Check("mmcv", check_mmcv, "required", names["mmcv"], built),
        Check("mmcv operators", check_mmcv_ops, "task", names["mmcv"], built),
        Check("safetensors", check_safetensors, "required", "safetensors", install("safetensors")),
        Check("torchvision", check_torchvision, "task", "torchvision", SETUP),
        Check(
            "mmpretrain",
            check_mmpretrain,
            "task",
            names["mmpretrain"],
            install(names["mmpretrain"]),
        ),
        Check("mmdet", check_mmdet, "task", names["mmdet"], install(names["mmdet"])),
        Check("mmseg", check_mmseg, "task", names["mmseg"], install(names["mmseg"])),
        Check("mmvan.VAN", check_van, "required", "mmvan", SETUP),
        Check("VAN in C", check_native_operators, "optional"),
        *(Check(name, run, "optional", name, install(name)) for name, run in optional.items()),
    ]
