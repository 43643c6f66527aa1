"""What a network costs, counted from its Spec alone: exact, without building or running it."""

from collections.abc import Iterator
from dataclasses import dataclass

from deepen.errors import UserError
from deepen.nets.spec import BlockShape, Spec, block_shapes


@dataclass(frozen=True)
class Layer:
    """A convolution with the norm beside it, or the fully connected layer."""

    name: str
    c_in: int
    c_out: int
    kernel: int
    size: int
    """Side of the square output map, in pixels."""
    groups: int = 1
    norm: int = 0
    """Channels of the norm counted with this layer."""
    bias: bool = False

    @property
    def parameters(self) -> int:
        """Weights, biases, and the norm's scale and shift."""
        weights = self.c_out * self.c_in // self.groups * self.kernel**2
        return weights + self.bias * self.c_out + 2 * self.norm

    @property
    def multiply_adds(self) -> int:
        """Of one image; convolutions and the fully connected layer, as the paper counts them."""
        return self.values * self.c_in // self.groups * self.kernel**2

    @property
    def values(self) -> int:
        """In the output map of one image."""
        return self.size**2 * self.c_out


@dataclass(frozen=True)
class Cost:
    """Of a network or a part of it: a row of Table 1 of arXiv:1512.03385."""

    parameters: int
    multiply_adds: int
    """Of one image's forward pass."""
    activations: int
    """Values of one image kept for the backward pass."""
    indices: int
    """Positions of maxima that the stem's pooling keeps for it, 8 bytes each."""
    size: int
    """Side of the square output map, in pixels."""

    def activation_bytes(self, batch: int, value_bytes: int = 4) -> int:
        """Bytes kept for the backward pass of a batch; 4 a value in fp32, 2 in bf16."""
        return batch * (self.activations * value_bytes + self.indices * 8)


def cost(spec: Spec, size: int) -> Cost:
    """The whole network's, for square images of `size` pixels."""
    parts = stage_costs(spec, size)
    return Cost(
        parameters=sum(part.parameters for part in parts),
        multiply_adds=sum(part.multiply_adds for part in parts),
        activations=sum(part.activations for part in parts),
        indices=sum(part.indices for part in parts),
        size=1,
    )


def stage_costs(spec: Spec, size: int) -> list[Cost]:
    """Of the stem, each stage and the head, for square images of `size` pixels."""
    if size < 1:
        raise UserError(f"images of {size} pixels do not exist; at least 1 is needed")
    stem = _stem(spec, size)
    costs, side = [stem], stem.size
    blocks = list(block_shapes(spec))
    for stage in range(1, len(spec.blocks) + 1):
        inside = [shape for shape in blocks if shape.stage == stage]
        costs.append(_stage(spec, inside, side))
        side = costs[-1].size
    return [*costs, _head(spec, side)]


def block_layers(spec: Spec, shape: BlockShape, side: int) -> list[Layer]:
    """The convolutions of F, then any projection; `side`: the input's, in pixels."""
    pre, listed, out = spec.order == "pre", [], side
    for number, (c_in, c_out, kernel, stride) in enumerate(_convolutions(spec, shape), start=1):
        out = _halved(out, stride)
        groups = spec.groups if kernel == 3 else 1
        norm = c_in if pre else c_out
        listed.append(Layer(f"conv{number}", c_in, c_out, kernel, out, groups, norm))
    if shape.shortcut == "projection":
        norm = 0 if pre else shape.c_out
        listed.append(Layer("downsample", shape.c_in, shape.c_out, 1, out, norm=norm))
    return listed


def block_activations(spec: Spec, shape: BlockShape, side: int) -> int:
    """Values of one image that a block keeps: the inputs of its convolutions, norms and ReLUs
    that nothing before it keeps already, and its output, which the next block needs."""
    convolutions = [x.values for x in block_layers(spec, shape, side) if x.name != "downsample"]
    *inner, out = convolutions
    if spec.order == "pre":
        return side**2 * shape.c_in + 2 * sum(inner) + out
    return 2 * sum(inner) + out + out + (out if shape.shortcut == "projection" else 0)


def _convolutions(spec: Spec, shape: BlockShape) -> Iterator[tuple[int, int, int, int]]:
    """(c_in, c_out, kernel, stride) of the layers of F."""
    if spec.block == "basic":
        yield shape.c_in, shape.inner, 3, shape.stride
        yield shape.inner, shape.c_out, 3, 1
    else:
        first, second = (shape.stride, 1) if spec.stride_on == "1x1" else (1, shape.stride)
        yield shape.c_in, shape.inner, 1, first
        yield shape.inner, shape.inner, 3, second
        yield shape.inner, shape.c_out, 1, 1


def _stem(spec: Spec, size: int) -> Cost:
    imagenet, pre = spec.stem == "imagenet", spec.order == "pre"
    kernel, stride = (7, 2) if imagenet else (3, 1)
    norm = 0 if pre else spec.width
    conv = Layer("conv1", 3, spec.width, kernel, _halved(size, stride), norm=norm)
    side = _halved(conv.size, 2) if imagenet else conv.size
    pooled = side**2 * spec.width if imagenet else 0
    kept = 3 * size**2 + conv.values * (1 if pre else 2) + pooled
    return Cost(conv.parameters, conv.multiply_adds, kept, pooled, side)


def _stage(spec: Spec, shapes: list[BlockShape], side: int) -> Cost:
    parameters = multiply_adds = activations = 0
    for shape in shapes:
        listed = block_layers(spec, shape, side)
        parameters += sum(layer.parameters for layer in listed)
        multiply_adds += sum(layer.multiply_adds for layer in listed)
        activations += block_activations(spec, shape, side)
        side = _halved(side, shape.stride)
    return Cost(parameters, multiply_adds, activations, 0, side)


def _head(spec: Spec, side: int) -> Cost:
    pre = spec.order == "pre"
    fc = Layer("fc", spec.features, spec.classes, 1, 1, norm=spec.features if pre else 0, bias=True)
    kept = spec.features * (1 + (side**2 if pre else 0))
    return Cost(fc.parameters, fc.multiply_adds, kept, 0, 1)


def _halved(side: int, stride: int) -> int:
    """A map's side after a layer of this stride that pads: rounded up."""
    return -(-side // stride)
