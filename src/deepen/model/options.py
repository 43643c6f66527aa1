"""What a person may say about where and how a network runs; torch is not needed to say it."""

from dataclasses import dataclass
from typing import Literal

from deepen.errors import UserError


@dataclass(frozen=True)
class Machine:
    """What to run on."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """auto: CUDA, then Apple's MPS, then the CPU."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: in training bf16 (weights stay fp32) where the hardware has it; else fp32."""
    threads: int | None = None
    """Of PyTorch on the CPU; as many as the process may use cores unless told otherwise."""
    workers: int | None = None
    """Threads that decode pictures; one a core unless told otherwise."""
    compile: bool = False
    """Compile the training step's network first: some seconds, or minutes for a deep one, and on
    two cores no faster afterwards; for a GPU."""


@dataclass(frozen=True)
class Inference:
    """How probabilities are computed; none of it changes a label, exact ties aside, but `flip`."""

    batch: int = 256
    """Pictures at a time."""
    flip: bool = False
    """Average over each picture and its mirror image."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UserError(f"--batch is at least 1, found {self.batch}")
