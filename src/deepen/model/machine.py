"""Where a network runs and in which precision: chosen once, said, and handed down."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from deepen.errors import UserError
from deepen.model.options import Machine


@dataclass(frozen=True)
class Chosen:
    """A machine that exists."""

    device: torch.device
    precision: Literal["fp32", "bf16"]
    reason: str
    """Why this device and precision, for the first lines of a run."""
    threads: int
    workers: int
    compile: bool

    @contextmanager
    def running(self) -> Iterator[None]:
        """This machine's number of threads, and cuDNN's repeatable kernels, inside; the caller's
        again afterwards."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with torch.backends.cudnn.flags(deterministic=True, benchmark=False):
                yield
        finally:
            torch.set_num_threads(before)

    def in_fp32(self) -> "Chosen":
        """The same, but for answers that are to be compared."""
        return replace(self, precision="fp32", reason="so that answers can be compared")

    def autocast(self) -> torch.autocast:
        """The precision's context for a forward pass."""
        enabled = self.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def place(self, net: nn.Module) -> None:
        """Move a network here in the memory format that its kernels want: channels last."""
        net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def images(self, pixels: Tensor) -> Tensor:
        """Pictures (n, 3, h, w) on the device, channels last."""
        return pixels.to(self.device, non_blocking=True, memory_format=torch.channels_last)


def choose(machine: Machine, *, training: bool) -> Chosen:
    """Find what was asked for; raises UserError when this machine does not have it."""
    cores = _cores()
    for name in ("threads", "workers"):
        asked = getattr(machine, name)
        if asked is not None and asked < 1:
            raise UserError(f"--{name} is at least 1, found {asked}")
    device = _device(machine.device)
    precision, reason = _precision(device, machine.precision, training)
    return Chosen(
        device=device,
        precision=precision,
        reason=reason,
        threads=machine.threads or cores,
        workers=machine.workers or cores,
        compile=machine.compile,
    )


def _cores() -> int:
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _device(asked: str) -> torch.device:
    there = [name for name, found in _devices().items() if found]
    if asked == "auto":
        return torch.device(there[0])
    if asked not in there:
        raise UserError(f"asked for device {asked}, but PyTorch finds only {', '.join(there)} here")
    return torch.device(asked)


def _devices() -> dict[str, bool]:
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    return {"cuda": cuda, "mps": mps, "cpu": True}


def _precision(
    device: torch.device, asked: str, training: bool
) -> tuple[Literal["fp32", "bf16"], str]:
    if asked == "fp32":
        return "fp32", "asked for"
    if asked == "bf16":
        return "bf16", "asked for"
    if not training:
        return "fp32", "so that answers do not depend on the machine"
    if _computes_bf16(device):
        return "bf16", "the hardware computes in it; weights stay fp32"
    return "fp32", "this hardware does not compute in bf16"


def _computes_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    wanted = ("avx512_bf16", "amx_bf16")
    return device.type == "cpu" and any(capabilities.get(name) for name in wanted)
