"""The networks of `nn::models`: the tensors of each. 50 training steps in double precision of three of them, and of
one of other layers."""

import json

import numpy as np
import torch
from golden_data import GOLDEN, coloured, mnist
from golden_models import ResNet, UNet, autoencoder, layers, models as twins
from safetensors.numpy import save_file
from torch import nn

STEPS = 50
BATCH = 8
# Steps after which the state is stored: `early`, while f32 differs by a few roundings, and the last.
EARLY = 10
# Trainings with noise, which tell how far f32 may stray.
NOISY = 6
# Values of each tensor that are stored.
SAMPLED = 32


def models():
    """The shape of each tensor of each network's state_dict."""
    shapes = lambda net: {name: list(t.shape) for name, t in sorted(net.state_dict().items())}
    listed = [f" {json.dumps(name)}: {json.dumps(shapes(net))}" for name, net in twins().items()]
    text = "{\n" + ",\n".join(listed).replace("], ", "],\n  ") + "\n}\n"
    (GOLDEN / "models.json").write_text(text)
    print(f"models: {len(listed)}")


def hashed(first, count):
    """Numbers in [-1, 1), multiples of 2⁻²³, that the tests compute too: nothing to store."""
    words = np.arange(first, first + count, dtype=np.uint32)
    for shift, factor in [(16, 0x7FEB352D), (15, 0x846CA68B)]:
        words = (words ^ (words >> np.uint32(shift))) * np.uint32(factor)
    words ^= words >> np.uint32(16)
    return (words >> np.uint32(8)).astype(np.float64) / 2**23 - 1


def initialise(net):
    """In the order of names: those of more than one extent with the variance of He's, weights of norms about 1/2,
    others about 0."""
    first = 0
    for name, parameter in sorted(net.named_parameters()):
        values = hashed(first, parameter.numel()).reshape(parameter.shape)
        first += parameter.numel()
        if parameter.ndim > 1:
            values *= np.sqrt(6 / np.prod(parameter.shape[1:]))
        elif name.endswith("weight"):
            values = (1 + values / 4) / 2
        else:
            values /= 8
        parameter.data = torch.from_numpy(values.astype(np.float32).astype(np.float64))


def batches():
    """Images (3, 16, 16), their classes, and the brightness of each pixel as its class. Half of each image is
    noise: with a constant background, thousands of pixels would cross a ReLU's kink together."""
    images, labels = mnist()
    rows = STEPS * BATCH
    bytes_ = np.rint(coloured(images[:rows])[..., ::2, ::2].astype(np.float64) * 255).astype(np.int64)
    noise = ((hashed(0, bytes_.size) + 1) * 128).astype(np.int64).reshape(bytes_.shape)
    mixed = (bytes_ // 2 + noise // 2).astype(np.float32) / np.float32(255)
    tensor = torch.from_numpy
    return tensor(mixed.astype(np.float64)), tensor(labels[:rows].astype(np.int64)), tensor(bytes_[:, 0] // 86)


def rounded(**options):
    """Options as the f32 that wgrad has."""
    return {name: np.float32(value).astype(np.float64).tolist() for name, value in options.items()}


def subjects():
    """Name, network, loss of a batch, and optimizer."""
    entropy = nn.functional.cross_entropy
    sgd = lambda **options: lambda p: torch.optim.SGD(p, **rounded(**options))
    adam = lambda **options: lambda p: torch.optim.Adam(p, **rounded(**options))
    adamw = lambda **options: lambda p: torch.optim.AdamW(p, **rounded(**options))
    return {
        "resnet20": (
            lambda: ResNet(3, 16, stages=3, blocks=3, classes=10),
            lambda y, x, classes, pixels: entropy(y, classes),
            sgd(lr=1e-4, momentum=0.9, weight_decay=0.1),
        ),
        "unet": (
            lambda: UNet(3, 8, 3),
            lambda y, x, classes, pixels: entropy(y, pixels),
            adam(lr=2e-4, betas=(0.9, 0.999), eps=1e-4),
        ),
        "autoencoder": (
            lambda: autoencoder(3),
            lambda y, x, classes, pixels: nn.functional.mse_loss(y, x),
            sgd(lr=0.25, momentum=0.9),
        ),
        "layers": (
            layers,
            lambda y, x, classes, pixels: entropy(y, classes, label_smoothing=0.125),
            adamw(lr=1e-3, betas=(0.9, 0.999), eps=1e-4, weight_decay=0.1),
        ),
    }


def state(net):
    """Of each tensor but counters, values at a stride that is a prime, so that every extent is sampled."""
    tensors = {}
    for name, tensor in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            values = tensor.numpy().ravel()
            tensors[name] = values[np.arange(min(SAMPLED, len(values))) * 7919 % len(values)]
    return tensors


def train(make, loss_of, optimizer_of, data, round_parameters):
    """The losses of all steps, and the states that are stored."""
    net = make()
    initialise(net)
    net.double()
    optimizer = optimizer_of(net.parameters())
    losses, early = [], None
    for batch in zip(*(tensor.split(BATCH) for tensor in data)):
        loss = loss_of(net(batch[0]), *batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for parameter in net.parameters():
            parameter.data = round_parameters(parameter.data)
        losses.append(loss.item())
        if len(losses) == EARLY:
            early = state(net)
    states = {f"early.{name}": values for name, values in early.items()}
    states |= {f"final.{name}": values for name, values in state(net).items()}
    return np.array(losses), states


def trained():
    data = batches()
    for name, subject in subjects().items():
        losses, states = train(*subject, data, lambda p: p)
        # The expected drift of f32. It rounds every parameter and the value of every function, some 60 of which
        # lead to a loss: noise of √60 roundings.
        generator = torch.Generator().manual_seed(0)
        noise = lambda p: 2**-21 * (2 * torch.rand(p.shape, generator=generator, dtype=p.dtype) - 1)
        others = [train(*subject, data, lambda p: p * (1 + noise(p))) for _ in range(NOISY)]
        apart = np.maximum.accumulate(np.max([np.abs(other[0] - losses) for other in others], 0))
        tensors = {"losses": losses, "apart": apart} | states
        for key, values in states.items():
            furthest = max(np.abs(other[1][key] - values).max() for other in others)
            tensors[f"apart.{key}"] = np.array([furthest])
        save_file(tensors, GOLDEN / f"{name}.safetensors")
        print(name, "losses", losses[[0, 9, 24, 49]], "apart", apart[[1, 9, 24, 49]])
