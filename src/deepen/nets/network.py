"""A Spec becomes a network: stem, stages, head, as in Figure 3 of arXiv:1512.03385."""

from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepen.nets.block import block, convolution
from deepen.nets.spec import Spec, block_shapes


class Network(nn.Module):
    """Images to logits. Parameters carry torchvision's names; `norm` ends pre-activation networks.

    Shapes: x (n, 3, h, w), normalised -> logits (n, classes).
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        imagenet = spec.stem == "imagenet"
        self.conv1 = convolution(3, spec.width, 7 if imagenet else 3, 2 if imagenet else 1)
        if spec.order == "post":
            self.bn1 = nn.BatchNorm2d(spec.width)
        for stage, shapes in groupby(block_shapes(spec), key=lambda shape: shape.stage):
            blocks = nn.Sequential(*(block(shape, spec) for shape in shapes))
            self.add_module(f"layer{stage}", blocks)
        if spec.order == "pre":
            self.norm = nn.BatchNorm2d(spec.features)
        self.fc = nn.Linear(spec.features, spec.classes)

    @property
    def stages(self) -> list[nn.Module]:
        """layer1, layer2, ..."""
        return [self.get_submodule(f"layer{s}") for s in range(1, len(self.spec.blocks) + 1)]

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: (n, 3, h, w) -> (n, classes)."""
        return self.head(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """Stem and stages. Shapes: (n, 3, h, w) -> (n, spec.features, h', w')."""
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return F.relu(self.norm(x)) if self.spec.order == "pre" else x

    def stem(self, x: Tensor) -> Tensor:
        """3x3 (section 4.2), or 7x7 of stride 2 and a pooling of stride 2 (Table 1)."""
        x = self.conv1(x)
        if self.spec.order == "post":
            x = F.relu(self.bn1(x))
        return x if self.spec.stem == "cifar" else F.max_pool2d(x, 3, 2, 1)

    def head(self, x: Tensor) -> Tensor:
        """Mean over the map, then one fully connected layer."""
        return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]


def network(spec: Spec, seed: int = 0) -> Network:
    """A new network on the CPU, in fp32, its weights drawn by He's rule (arXiv:1502.01852, eq. 10).

    The same seed gives the same weights; the global random generator is not touched.
    """
    with torch.device("meta"):
        net = Network(spec)
    net = net.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        _initialise(module, generator)
    if spec.zero_gamma:
        for norm in last_norms(net):
            nn.init.zeros_(norm.weight)
    return net


def last_norms(net: Network) -> list[nn.BatchNorm2d]:
    """The norm that ends the residue of each post-activation block."""
    name = "bn2" if net.spec.block == "basic" else "bn3"
    return [b.get_submodule(name) for stage in net.stages for b in stage.children()]  # type: ignore[misc]


def _initialise(module: nn.Module, generator: torch.Generator) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(
            module.weight, mode="fan_out", nonlinearity="relu", generator=generator
        )
    elif isinstance(module, nn.Linear):
        bound = module.in_features**-0.5
        nn.init.uniform_(module.weight, -bound, bound, generator=generator)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        module.reset_parameters()
