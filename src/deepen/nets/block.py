"""The building blocks: Figures 2 and 5 of arXiv:1512.03385, and Figure 1(b) of 1603.05027.

Every block maps x (n, c_in, h, w) to y (n, c_out, h / stride, w / stride).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepen.nets.spec import BlockShape, Spec


class Block(nn.Module):
    """F(x) beside a shortcut; a plain block has none."""

    def __init__(self, shape: BlockShape, projection: "nn.Module | None") -> None:
        super().__init__()
        self.survival = shape.survival
        self.downsample = shortcut(shape, projection)

    def residue(self, x: Tensor) -> Tensor:
        """F(x): what the block adds to its input."""
        raise NotImplementedError

    def join(self, x: Tensor, beside: Tensor) -> Tensor:
        """F(x) + shortcut(beside): equation 1 of arXiv:1512.03385.

        Under stochastic depth (1603.09382, equations 2 and 5) a training step keeps F with the
        probability `survival`, and inference scales F by it.
        """
        if self.downsample is None:
            return self.residue(x)
        carried: Tensor = self.downsample(beside)
        if self.survival == 1:
            return self.residue(x) + carried
        if not self.training:
            return self.survival * self.residue(x) + carried
        return self.residue(x) + carried if torch.rand(()) < self.survival else carried


class PostActivation(Block):
    """y = relu(F(x) + shortcut(x)): Figure 2 of arXiv:1512.03385."""

    def __init__(self, shape: BlockShape) -> None:
        conv = convolution(shape.c_in, shape.c_out, 1, shape.stride)
        super().__init__(shape, nn.Sequential(conv, nn.BatchNorm2d(shape.c_out)))

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: as the module's."""
        return F.relu(self.join(x, x))


class Basic(PostActivation):
    """F(x) = norm(W2 relu(norm(W1 x))), both 3x3: Figure 5, left."""

    def __init__(self, shape: BlockShape, _spec: Spec) -> None:
        super().__init__(shape)
        self.conv1 = convolution(shape.c_in, shape.inner, 3, shape.stride)
        self.bn1 = nn.BatchNorm2d(shape.inner)
        self.conv2 = convolution(shape.inner, shape.c_out, 3)
        self.bn2 = nn.BatchNorm2d(shape.c_out)

    def residue(self, x: Tensor) -> Tensor:
        """F(x)."""
        x = F.relu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(x))  # type: ignore[no-any-return]


class Bottleneck(PostActivation):
    """1x1 reduces, 3x3 works, 1x1 restores: Figure 5, right."""

    def __init__(self, shape: BlockShape, spec: Spec) -> None:
        super().__init__(shape)
        stride1, stride2 = strides(shape, spec)
        self.conv1 = convolution(shape.c_in, shape.inner, 1, stride1)
        self.bn1 = nn.BatchNorm2d(shape.inner)
        self.conv2 = convolution(shape.inner, shape.inner, 3, stride2, spec.groups)
        self.bn2 = nn.BatchNorm2d(shape.inner)
        self.conv3 = convolution(shape.inner, shape.c_out, 1)
        self.bn3 = nn.BatchNorm2d(shape.c_out)

    def residue(self, x: Tensor) -> Tensor:
        """F(x)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return self.bn3(self.conv3(x))  # type: ignore[no-any-return]


class PreActivation(Block):
    """y = F(x) + shortcut(x), norm and ReLU first: Figure 1(b) of arXiv:1603.05027."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__(
            shape, nn.Sequential(convolution(shape.c_in, shape.c_out, 1, shape.stride))
        )
        self.shares_activation = shape.shares_activation
        self.bn1 = nn.BatchNorm2d(shape.c_in)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: as the module's."""
        activated = F.relu(self.bn1(x))
        return self.join(activated, activated if self.shares_activation else x)


class PreActivationBasic(PreActivation):
    """F = W2 relu(norm(W1 x)) of an x that norm and ReLU have passed; both 3x3."""

    def __init__(self, shape: BlockShape, _spec: Spec) -> None:
        super().__init__(shape)
        self.conv1 = convolution(shape.c_in, shape.inner, 3, shape.stride)
        self.bn2 = nn.BatchNorm2d(shape.inner)
        self.conv2 = convolution(shape.inner, shape.c_out, 3)

    def residue(self, x: Tensor) -> Tensor:
        """F of the activated x."""
        return self.conv2(F.relu(self.bn2(self.conv1(x))))  # type: ignore[no-any-return]


class PreActivationBottleneck(PreActivation):
    """1x1, 3x3, 1x1, each of an x that norm and ReLU have passed."""

    def __init__(self, shape: BlockShape, spec: Spec) -> None:
        super().__init__(shape)
        stride1, stride2 = strides(shape, spec)
        self.conv1 = convolution(shape.c_in, shape.inner, 1, stride1)
        self.bn2 = nn.BatchNorm2d(shape.inner)
        self.conv2 = convolution(shape.inner, shape.inner, 3, stride2, spec.groups)
        self.bn3 = nn.BatchNorm2d(shape.inner)
        self.conv3 = convolution(shape.inner, shape.c_out, 1)

    def residue(self, x: Tensor) -> Tensor:
        """F of the activated x."""
        x = F.relu(self.bn2(self.conv1(x)))
        x = F.relu(self.bn3(self.conv2(x)))
        return self.conv3(x)  # type: ignore[no-any-return]


class Pad(nn.Module):
    """Option A: every second pixel, new channels filled with zeros, half on each side."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.before = (c_out - c_in) // 2
        self.after = c_out - c_in - self.before

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: (n, c_in, h, w) -> (n, c_out, ceil(h / stride), ceil(w / stride))."""
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, self.before, self.after))


def shortcut(shape: BlockShape, projection: nn.Module | None) -> nn.Module | None:
    """The module on the shortcut path (named `downsample`, as in torchvision); plain: None."""
    match shape.shortcut:
        case None:
            return None
        case "identity":
            return nn.Identity()
        case "pad":
            return Pad(shape.c_in, shape.c_out, shape.stride)
        case "projection":
            return projection


def convolution(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias (a norm follows or precedes it) that keeps the map's size."""
    return nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)


def strides(shape: BlockShape, spec: Spec) -> tuple[int, int]:
    """Strides of a bottleneck's first 1x1 and of its 3x3."""
    return (shape.stride, 1) if spec.stride_on == "1x1" else (1, shape.stride)


def block(shape: BlockShape, spec: Spec) -> Block:
    """The block of this shape in this network."""
    kinds = {
        ("basic", "post"): Basic,
        ("bottleneck", "post"): Bottleneck,
        ("basic", "pre"): PreActivationBasic,
        ("bottleneck", "pre"): PreActivationBottleneck,
    }
    return kinds[spec.block, spec.order](shape, spec)
