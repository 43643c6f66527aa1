"""Tensors and JSON in one safetensors file: no pickle, replaced durably, checked on load."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from deepen.errors import UserError
from deepen.files import replace_durably


def write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Save tensors and facts under a digest of both; raises UserError if it cannot."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    body = json.dumps(dict(facts))
    header = {"deepen": body, "sha256": _digest(held, body)}
    replace_durably(path, safetensors.torch.save(held, header))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts of a file of ours; raises UserError for any other, or a damaged one."""
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is no whole safetensors file: {error}") from error
    if "deepen" not in header:
        raise UserError(f"{path} was not written by deepen: it does not say which network it holds")
    if header.get("sha256") != _digest(tensors, header["deepen"]):
        raise UserError(f"{path} is damaged: its contents do not have the digest stored with them")
    return tensors, json.loads(header["deepen"])


def _digest(tensors: Mapping[str, Tensor], facts: str) -> str:
    """SHA-256 of facts, names, types, shapes and bytes; safetensors itself stores none."""
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)} ".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
