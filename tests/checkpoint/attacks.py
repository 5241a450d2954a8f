"""Files that try to do harm when they are read, one function each."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import nn


class Call:
    """An object whose unpickling calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


class Subclass(OrderedDict[str, Any]):
    """A state dict by its type, until it is unpickled."""

    mark: str

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"open({self.mark!r}, 'w').close()",)


def run(mark: Path) -> Call:
    return Call(os.system, f"touch '{mark}'")


def plain_call(file: Path, mark: Path) -> None:
    torch.save(run(mark), file)


def call_in_the_old_format(file: Path, mark: Path) -> None:
    torch.save({"state_dict": run(mark)}, file, _use_new_zipfile_serialization=False)


def nested_call(file: Path, mark: Path) -> None:
    meta = {"hooks": [{"log": (1, {"deep": run(mark)})}]}
    torch.save({"state_dict": {"a": torch.ones(2)}, "meta": meta}, file)


def subclass_of_a_state_dict(file: Path, mark: Path) -> None:
    state_dict = Subclass(a=torch.ones(2))
    state_dict.mark = str(mark)
    torch.save({"state_dict": state_dict}, file)


def evaluated_text(file: Path, mark: Path) -> None:
    torch.save({"epoch": Call(eval, f"__import__('os').system('touch {mark}')")}, file)


def call_in_an_object_array(file: Path, mark: Path) -> None:
    torch.save({"scores": np.array([run(mark)], dtype=object)}, file)


def call_behind_an_allowed_name(file: Path, mark: Path) -> None:
    # getattr is allowed for the log's own statistics only.
    reach = Call(getattr, HistoryBuffer, "__init__")
    torch.save({"log": reach, "then": run(mark)}, file)


def call_in_a_log(file: Path, mark: Path) -> None:
    history = HistoryBuffer([1.0], [1])
    history._statistics_methods = {"mean": run(mark)}
    torch.save({"message_hub": history}, file)


def whole_module(file: Path, mark: Path) -> None:
    torch.save(nn.Linear(2, 2), file)


def plain_pickle(file: Path, mark: Path) -> None:
    file.write_bytes(pickle.dumps(run(mark)))


def tar_archive(file: Path, mark: Path) -> None:
    data = io.BytesIO()
    torch.save(run(mark), data)
    with tarfile.open(file, "w") as archive:
        entry = tarfile.TarInfo("pickle")
        entry.size = len(data.getvalue())
        archive.addfile(entry, io.BytesIO(data.getvalue()))


def truncated_archive(file: Path, mark: Path) -> None:
    torch.save({"a": torch.ones(2000)}, file)
    file.write_bytes(file.read_bytes()[:-500])


def torchscript_archive(file: Path, mark: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), file)


def compressed_archive(file: Path, mark: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": 1}))
        archive.writestr("archive/data/0", bytes(10**7))


def huge_storage(file: Path, mark: Path) -> None:
    """2**50 elements declared, 2000 stored."""
    honest = io.BytesIO()
    torch.save({"a": torch.ones(2000)}, honest)
    small, huge = b"M\xd0\x07", b"\x8a\x08" + (2**50).to_bytes(8, "little")
    with zipfile.ZipFile(honest) as source, zipfile.ZipFile(file, "w") as archive:
        for name in source.namelist():
            content = source.read(name)
            is_pickle = name.endswith("data.pkl")
            archive.writestr(name, content.replace(small, huge) if is_pickle else content)


def huge_view(file: Path, mark: Path) -> None:
    """A view of one stored value that claims 2**40 elements."""
    torch.save({"a": torch.ones(1).expand(2**40)}, file)


def huge_meta_tensor(file: Path, mark: Path) -> None:
    torch.save({"a": torch.empty(2**40, device="meta")}, file)


def huge_safetensors(file: Path, mark: Path) -> None:
    header = b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))


# With what the refusal must say.
ATTACKS: dict[Callable[[Path, Path], None], str] = {
    plain_call: "asks for posix.system",
    call_in_the_old_format: "posix.system",
    nested_call: "asks for posix.system",
    subclass_of_a_state_dict: "asks for builtins.exec",
    evaluated_text: "asks for builtins.eval",
    call_in_an_object_array: "asks for posix.system",
    call_behind_an_allowed_name: "asks for posix.system",
    call_in_a_log: "asks for posix.system",
    whole_module: "asks for torch.nn.modules.linear.Linear",
    plain_pickle: "is not a checkpoint: it begins with",
    tar_archive: "is not a checkpoint: it begins with",
    truncated_archive: "cut off after",
    torchscript_archive: "is a TorchScript archive",
    compressed_archive: "unpacks to 10000021 bytes",
    huge_storage: "is damaged: .*4503599627370496|declares tensors of 4194304",  # by PyTorch 2.6
    huge_view: "declares tensors of 4096.0 GiB",
    huge_meta_tensor: "declares tensors of 4096.0 GiB",
    huge_safetensors: "bytes by its safetensors header and has",
}
