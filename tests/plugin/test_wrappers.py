"""What users put around or into the backbone trains, is saved, and loads into a fresh model.

Everything is done with mmpretrain's VAN, too: what works with it works with ours.
"""

import copy
import io
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
import torch.distributed as dist
from mmengine.model import ExponentialMovingAverage
from torch import Tensor, nn
from torch.ao.quantization import get_default_qat_qconfig, prepare_qat
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    set_model_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.fsdp.wrap import ModuleWrapPolicy
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel

from mmvan import VAN
from mmvan.checkpoint import adapt
from mmvan.models.layers import Block
from mmvan.ops import use_backend

ARCH = {"embed_dims": [16, 32, 16, 16], "depths": [2, 1, 1, 1], "ffn_ratios": [2, 2, 2, 2]}
# Where each of the two has its first block, and what is in a block.
FIRST_BLOCK = {"ours": "stages.0.blocks.0", "mmpretrain": "blocks1.0"}
PARTS = {
    "ours": {"dw": "attn.lka.dw_conv", "dw_d": "attn.lka.dw_d_conv", "pw": "attn.lka.pw_conv"},
    "mmpretrain": {
        "dw": "attn.spatial_gating_unit.DW_conv",
        "dw_d": "attn.spatial_gating_unit.DW_D_conv",
        "pw": "attn.spatial_gating_unit.conv1",
    },
}
FFN = {"ours": "ffn.dw_conv", "mmpretrain": "mlp.dwconv"}
State = dict[str, Any]


class Model(nn.Module):
    """Any model with the backbone inside."""

    def __init__(self, whose: str, **options: Any) -> None:
        super().__init__()
        self.whose = whose
        if whose == "ours":
            self.backbone: Any = VAN(ARCH, out_indices=(3,), channels_last="auto", **options)
        else:
            from mmpretrain.models import VAN as THEIRS

            self.backbone = THEIRS(ARCH)
        self.head = nn.Conv2d(16, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 3, H / 32, W / 32)."""
        return self.head(self.backbone(x)[0])

    def block(self) -> nn.Module:
        return self.backbone.get_submodule(FIRST_BLOCK[self.whose])

    def replace(self, part: str, change: Callable[[nn.Module], nn.Module]) -> "Model":
        """Put what ``change`` makes of a part of the first block in its place."""
        path = PARTS[self.whose].get(part) or FFN[self.whose]
        parent, _, name = path.rpartition(".")
        owner = self.block().get_submodule(parent)
        setattr(owner, name, change(getattr(owner, name)))
        return self


class Lora(nn.Module):
    """A layer with a low-rank one beside it, as peft makes it."""

    def __init__(self, base: nn.Conv2d) -> None:
        super().__init__()
        self.base_layer = base.requires_grad_(False)
        self.lora_a = nn.Conv2d(base.in_channels, 2, 1, bias=False)
        self.lora_b = nn.Conv2d(2, base.out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.base_layer(x) + self.lora_b(self.lora_a(x))


class Adapted(nn.Module):
    """A block with an adapter after it."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.adapter = nn.Conv2d(16, 16, 1)

    def forward(self, x: Tensor, *sizes: int) -> Tensor:
        return self.block(x, *sizes) + self.adapter(x)


class Subclass(VAN):
    """A backbone of a user."""

    def __init__(self) -> None:
        super().__init__(ARCH, out_indices=(3,), channels_last="auto")
        self.register_buffer("calls", torch.zeros(()))
        self.stages[3].blocks[0].prompt = nn.Parameter(torch.zeros(16, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        self.calls += 1
        (out,) = super().forward(x)
        return (out + self.stages[3].blocks[0].prompt,)


def build(whose: str, seed: int = 0, **options: Any) -> Model:
    torch.manual_seed(seed)
    return Model(whose, **options)


def subclass(whose: str, seed: int = 0) -> Model:
    model = build(whose, seed)
    model.backbone = Subclass()
    return model


def replaced(part: str, change: Callable[[nn.Module], nn.Module], whose: str, seed: int) -> Model:
    return build(whose, seed).replace(part, change)


def adapted(whose: str, seed: int) -> Model:
    model = build(whose, seed)
    path = FIRST_BLOCK[whose].rpartition(".")[0]
    model.backbone.get_submodule(path)[0] = Adapted(model.block())
    return model


def pruned(conv: nn.Module) -> nn.Module:
    return prune.l1_unstructured(conv, "weight", 0.5)


def quantised(whose: str, seed: int) -> Model:
    model = build(whose, seed)
    model.backbone.qconfig = get_default_qat_qconfig("x86")
    prepare_qat(model.backbone.train(), inplace=True)
    return model


def checkpointed(whose: str, seed: int) -> Model:
    model = build(whose, seed)
    model.backbone = checkpoint_wrapper(model.backbone)
    return model


def compiled(whose: str, seed: int) -> Model:
    model = build(whose, seed)
    model.backbone = torch.compile(model.backbone, backend="eager")
    return model


def student_and_teacher(whose: str, seed: int) -> nn.Module:
    model = build(whose, seed)
    model.teacher = build(whose, seed + 1).eval().requires_grad_(False)
    return model


def parallel(whose: str, seed: int, **options: Any) -> nn.Module:
    return DistributedDataParallel(build(whose, seed), **options)


MAKERS: dict[str, Callable[[str, int], nn.Module]] = {
    "plain": build,
    "subclass": subclass,
    "adapter": adapted,
    "PReLU": partial(build, act_cfg={"type": "PReLU"}),
    "weight_norm": partial(replaced, "dw_d", parametrizations.weight_norm),
    "spectral_norm": partial(replaced, "pw", parametrizations.spectral_norm),
    "prune": partial(replaced, "dw", pruned),
    "LoRA of a 1x1": partial(replaced, "pw", Lora),
    "LoRA of a depthwise convolution": partial(replaced, "ffn", Lora),
    "quantisation-aware": quantised,
    "checkpoint_wrapper": checkpointed,
    "torch.compile before loading": compiled,
    "student and teacher": student_and_teacher,
    "DDP": parallel,
    "DDP, static graph": partial(parallel, static_graph=True),
    "DDP, find_unused_parameters": partial(parallel, find_unused_parameters=True),
}
# mmpretrain's VAN has no option for the activation, and prepare_qat fails at a module that is None.
OURS_ALONE = ("subclass", "PReLU", "quantisation-aware")
CASES = [
    (name, whose)
    for name in MAKERS
    for whose in ("ours", "mmpretrain")
    if whose == "ours" or name not in OURS_ALONE
]


@pytest.fixture(autouse=True)
def _one_process() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def images() -> Tensor:
    torch.manual_seed(7)
    return torch.rand(2, 3, 32, 32)


def train_step(model: nn.Module) -> None:
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trainable, 0.1)
    model.train()(images()).square().mean().backward()
    assert all(p.grad is not None for p in trainable)
    optimizer.step()


def through_a_file(state: State) -> State:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file)


def assert_equal(model: nn.Module, other: nn.Module) -> None:
    mine, theirs = model.state_dict(), other.state_dict()
    assert list(mine) == list(theirs)
    torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    with torch.no_grad():
        expected, found = (m.eval()(images()) for m in (model, other))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize(("name", "whose"), CASES)
def test_a_trained_model_is_saved_and_loaded(name: str, whose: str) -> None:
    model, fresh = MAKERS[name](whose, 0), MAKERS[name](whose, 5)
    train_step(model)
    result = fresh.load_state_dict(through_a_file(model.state_dict()))
    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    assert_equal(model, fresh)
    train_step(fresh)


@pytest.mark.parametrize("name", [name for name in MAKERS if not name.startswith("DDP")])
def test_the_fast_path_agrees_with_the_plain_one(name: str) -> None:
    model = MAKERS[name]("ours", 0).eval()
    found = []
    for backend in ("torch", "phase_split", "native", None):
        model.zero_grad()
        with use_backend(backend):
            out = model(images())
            out.square().mean().backward()
        gradients = {key: p.grad for key, p in model.named_parameters() if p.requires_grad}
        assert None not in gradients.values()
        found.append((out.detach(), copy.deepcopy(gradients)))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("average", (AveragedModel, ExponentialMovingAverage))
def test_an_average_is_saved_and_loaded(average: Any) -> None:
    model = build("ours")
    train_step(model)
    ema, fresh = average(model), average(build("ours", 5))
    ema.update_parameters(model)
    fresh.load_state_dict(through_a_file(ema.state_dict()))
    assert_equal(ema, fresh)


@pytest.mark.parametrize("copied", (copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))))
def test_a_copy_is_a_model_of_its_own(copied: Callable[[Model], Model]) -> None:
    model = build("ours")
    train_step(model)
    twin = copied(model)
    assert_equal(model, twin)
    train_step(twin)
    assert not torch.equal(twin.head.weight, model.head.weight)
    twin.load_state_dict(model.state_dict())
    assert_equal(model, twin)


def test_compiled_after_loading() -> None:
    model, fresh = build("ours"), build("ours", 5)
    fresh.load_state_dict(model.state_dict())
    fresh.backbone.compile(backend="eager")
    assert_equal(model, fresh)
    train_step(fresh)
    model.load_state_dict(through_a_file(fresh.state_dict()))
    assert_equal(model, fresh)


def test_a_model_of_the_meta_device_takes_the_files_tensors() -> None:
    model = build("ours")
    train_step(model)
    with torch.device("meta"):
        fresh = build("ours")
    state = through_a_file(model.state_dict())
    fresh.load_state_dict(state, assign=True)
    assert_equal(model, fresh)
    key = "backbone.stages.0.embed.proj.weight"
    assert fresh.state_dict()[key].data_ptr() == state[key].data_ptr()
    train_step(fresh)


@pytest.mark.parametrize("use_orig_params", (False, True))
def test_fsdp1(use_orig_params: bool) -> None:
    def shard(seed: int) -> FullyShardedDataParallel:
        return FullyShardedDataParallel(
            build("ours", seed),
            auto_wrap_policy=ModuleWrapPolicy({Block}),
            device_id=torch.device("cpu"),
            use_orig_params=use_orig_params,
        )

    model, fresh, plain = shard(0), shard(5), build("ours", 5)
    train_step(model)
    state = through_a_file(model.state_dict())
    fresh.load_state_dict(state)
    assert_equal(model, fresh)
    plain.load_state_dict(state)
    torch.testing.assert_close(plain.state_dict(), dict(state), rtol=0, atol=0)
    train_step(fresh)


def test_fsdp2() -> None:
    mesh = init_device_mesh("cpu", (1,))

    def shard(seed: int) -> nn.Module:
        model = build("ours", seed)
        for module in model.modules():
            if isinstance(module, Block):
                fully_shard(module, mesh=mesh)
        return fully_shard(model, mesh=mesh)

    model, fresh, plain = shard(0), shard(5), build("ours", 5)
    train_step(model)
    options = StateDictOptions(full_state_dict=True)
    state = through_a_file(get_model_state_dict(model, options=options))
    plain.load_state_dict(state)
    set_model_state_dict(fresh, dict(state), options=options)
    loaded = get_model_state_dict(fresh, options=options)
    torch.testing.assert_close(loaded, plain.state_dict(), rtol=0, atol=0)
    train_step(fresh)


@pytest.mark.parametrize("targets", (["pw_conv"], ["proj_1", "fc1", "fc2"], ["dw_conv"]))
def test_peft(targets: list[str]) -> None:
    peft = pytest.importorskip("peft", reason="the extra `dev` has it")
    options = peft.LoraConfig(r=2, target_modules=targets, init_lora_weights=False)
    model = peft.get_peft_model(build("ours"), options)
    assert not torch.equal(model(images()), build("ours")(images()))
    train_step(model)
    fresh = peft.get_peft_model(build("ours"), options)
    peft.set_peft_model_state_dict(fresh, peft.get_peft_model_state_dict(model))
    for key, weight in peft.get_peft_model_state_dict(fresh).items():
        assert torch.equal(weight, peft.get_peft_model_state_dict(model)[key])


PARTIAL: dict[str, tuple[Callable[[], nn.Module], Callable[[State], State]]] = {
    "nothing": (partial(build, "ours", 5), lambda _: {}),
    "the head alone": (
        partial(build, "ours", 5),
        lambda s: {k: v for k, v in s.items() if k.startswith("head")},
    ),
    "LayerScale off": (partial(build, "ours", 5, layer_scale_init_value=None), dict),
    "an ablation": (partial(build, "ours", 5, lka_cfg={"pw_conv": False}), dict),
    "BN into GN": (partial(build, "ours", 5, norm_cfg={"type": "GN", "num_groups": 4}), dict),
    "a student's file": (
        lambda: nn.ModuleDict({"student": build("ours", 5), "teacher": build("ours", 6)}),
        lambda s: {f"student.{key}": value for key, value in s.items()},
    ),
}


@pytest.mark.parametrize("name", PARTIAL)
def test_strict_false_means_what_pytorch_means(name: str) -> None:
    make, take = PARTIAL[name]
    model, state = make(), take(build("ours").state_dict())
    own = model.state_dict()
    result = model.load_state_dict(state, strict=False)
    # PyTorch counts num_batches_tracked only for files with versions.
    missing = [key for key in result.missing_keys if "num_batches" not in key]
    assert missing == [key for key in own if key not in state and "num_batches" not in key]
    assert result.unexpected_keys == [key for key in state if key not in own]
    assert missing or result.unexpected_keys
    loaded = {key: value for key, value in model.state_dict().items() if key in state}
    torch.testing.assert_close(loaded, {key: state[key] for key in loaded}, rtol=0, atol=0)


def test_another_number_of_channels_or_classes_is_pytorchs_error() -> None:
    state = build("ours").state_dict()
    with pytest.raises(RuntimeError, match=r"size mismatch for backbone\.stages\.0\.embed\.proj"):
        build("ours", in_channels=4).load_state_dict(state, strict=False)
    model = build("ours")
    model.head = nn.Conv2d(16, 7, 1)
    with pytest.raises(RuntimeError, match=r"size mismatch for head\.weight"):
        model.load_state_dict(state, strict=True)


def test_a_whole_file_without_the_hook_is_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(adapt, "print_log", lambda line, **_: lines.append(line))
    model, state = build("ours"), VAN(ARCH).state_dict()
    with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict: \"backbone\.stages"):
        model.load_state_dict(state)
    (line,) = lines
    assert line.startswith("nothing of the VAN backbone 'backbone' is in what is loaded.")
    assert "default_hooks = dict(adapt_checkpoint=dict(type='mmvan.AdaptCheckpointHook'))" in line
