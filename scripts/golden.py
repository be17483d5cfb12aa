#!/usr/bin/env python3
"""Writes tests/golden/*.safetensors: PyTorch's results, in double precision, for the same inputs.

    python3 -m venv venv && venv/bin/pip install torch numpy safetensors
    venv/bin/python scripts/golden.py [ops|batch_norm|convolutions|trajectories|residual|models|trained ...]

- `ops`: the outputs of random cases of every op. The cases come from `verify --dump`.
- `batch_norm`: a training step of batch normalisation and its gradients, for planes and for features,
  then its output for the same values with the running statistics.
- `convolutions`: logits and gradients of small networks, each with another kind of convolution.
- `tutorial`, `uneven`, `strided`, `residual`: the losses of 200 training steps of four small networks on
  MNIST, with weights and batches drawn by NumPy in f32. `residual` is ResNet-8; its file also has the
  final state_dict, and the logits of eight images in evaluation.
- `models`: the names and shapes of all tensors of the networks of `nn::models`.
- `trained`: 50 training steps of ResNet-20, a U-Net and an autoencoder, with their states.

The tests read the files; neither building nor running needs PyTorch.
"""

import json
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import golden_ops
import numpy as np
import torch
from golden_data import GOLDEN, ROOT, coloured, mnist
from golden_models import ResNet
from golden_trained import models, trained
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import nn

ROUNDS = 4
STEPS = 200


def ops():
    """Every case of every op, and a checksum of its inputs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cases.safetensors"
        command = ["cargo", "run", "--release", "--example", "verify", "--"]
        command += ["--rounds", str(ROUNDS), "--dump", str(path)]
        subprocess.run(command, cwd=ROOT, check=True)
        expected, checksums = {}, {}
        with safe_open(path, "numpy") as file:
            for name, case in json.loads(file.metadata()["cases"]).items():
                read = {b: file.get_tensor(f"{name}.{b}") for b in case["inputs"]}
                before = {b: file.get_tensor(f"{name}.{b}") for b in case["outputs"]}
                words = [*read.values(), *before.values()]
                checksums[name] = str(zlib.crc32(b"".join(w.tobytes() for w in words)))
                outputs = golden_ops.compute(case, read, before)
                for binding, values in zip(case["outputs"], outputs, strict=True):
                    values = np.asarray(values, dtype=np.float64).ravel()
                    expected[f"{name}.{binding}"] = np.ascontiguousarray(values)
        save_file(expected, GOLDEN / "ops.safetensors", metadata=checksums)
        print(f"ops: {len(checksums)} cases")


def he_normal(net, seed):
    """Normal weights with standard deviation sqrt(2 / fan_in), zero biases, in layer order."""
    generator = np.random.default_rng(seed)
    parameters = {}
    for name, parameter in net.named_parameters():
        shape = tuple(parameter.shape)
        if name.endswith("weight") and len(shape) == 1:
            values = np.ones(shape, np.float32)
        elif name.endswith("weight"):
            scale = np.sqrt(2 / np.prod(shape[1:]))
            values = (generator.standard_normal(shape) * scale).astype(np.float32)
        else:
            values = np.zeros(shape, np.float32)
        parameters[name] = values
        parameter.data = torch.from_numpy(values.astype(np.float64))
    return parameters


def losses(net, loss_of, optimizer, images, labels, order, batch, after_step=lambda: None):
    result = []
    for step in range(STEPS):
        rows = order[step * batch : (step + 1) * batch]
        x = torch.from_numpy(images[rows].astype(np.float64))
        loss = loss_of(net(x), torch.from_numpy(labels[rows].astype(np.int64)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        after_step()
        result.append(loss.item())
    return np.array(result)


def mse(logits, labels):
    return nn.functional.mse_loss(logits, nn.functional.one_hot(labels, 10).to(logits.dtype))


def batch_mean_mse(logits, labels):
    return 10 * mse(logits, labels)


def networks():
    """Name, network, loss, batch size, options of SGD."""
    # The tutorial's network and recipe.
    tutorial = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(676, 32), nn.ReLU(), nn.Linear(32, 10),
    )
    yield "tutorial", tutorial, mse, 32, dict(lr=0.01)
    # Non-square filters, strides and paddings, overlapping pools, two convolutions in series, layers
    # without bias, momentum and weight decay.
    uneven = nn.Sequential(
        nn.Conv2d(1, 3, (3, 2), stride=(2, 1), padding=(1, 0)), nn.ReLU(),
        nn.MaxPool2d((3, 2), stride=(1, 2), padding=(1, 0)),
        nn.Conv2d(3, 5, (2, 3), stride=(1, 2), padding=(0, 2), bias=False), nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1), nn.Flatten(),
        nn.Linear(140, 16, bias=False), nn.ReLU(), nn.Linear(16, 10),
    )
    options = dict(lr=0.01, momentum=0.9, weight_decay=0.01)
    yield "uneven", uneven, nn.functional.cross_entropy, 24, options
    # Strides instead of pools, and the other reduction of MSE.
    strided = nn.Sequential(
        nn.Conv2d(1, 4, 5, stride=2, padding=2), nn.ReLU(),
        nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(294, 20), nn.ReLU(), nn.Linear(20, 10),
    )
    yield "strided", strided, batch_mean_mse, 16, dict(lr=0.01, weight_decay=0.001)


def trajectories():
    images, labels = mnist()
    order = np.random.default_rng(1000).permutation(len(labels))
    for name, net, loss_of, batch, options in networks():
        tensors = he_normal(net, 0)
        optimizer = torch.optim.SGD(net.parameters(), **options)
        tensors["order"] = order[: STEPS * batch].astype(np.int32)
        tensors["losses"] = losses(net, loss_of, optimizer, images, labels, order, batch)
        save_file(tensors, GOLDEN / f"{name}.safetensors")
        print(name, " ".join(f"{loss:.6f}" for loss in tensors["losses"][:10]), "...")


def residual():
    images, labels = mnist()
    batch = 8
    order = np.random.default_rng(1000).permutation(len(labels))[: STEPS * batch]
    images, labels = coloured(images[order]), labels[order]
    places = np.arange(len(order))

    def train(round_parameters):
        net = ResNet(3, 8, stages=3, blocks=1, classes=10)
        tensors = he_normal(net, 0)
        net.double()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.002, momentum=0.9, weight_decay=0.001)

        def after_step():
            for parameter in net.parameters():
                parameter.data = round_parameters(parameter.data)

        entropy = nn.functional.cross_entropy
        return net, tensors, losses(net, entropy, optimizer, images, labels, places, batch, after_step)

    net, tensors, of_steps = train(lambda p: p)
    tensors["losses"] = of_steps
    tensors["order"] = order.astype(np.int32)
    # The expected drift of f32: f64 training with parameters rounded to f32 after each step, to the
    # nearest or at random.
    noise = torch.Generator().manual_seed(0)
    at_random = lambda p: p * (1 + 2**-24 * (2 * torch.rand(p.shape, generator=noise, dtype=p.dtype) - 1))
    roundings = [lambda p: p.float().double(), at_random, at_random]
    apart = [np.abs(train(rounding)[2] - tensors["losses"]) for rounding in roundings]
    tensors["apart"] = np.maximum.accumulate(np.max(apart, 0))
    print("residual, apart:", tensors["apart"][[9, 49, 99, 199]])
    # From here on, use the state as stored in an f32 file.
    net.float()
    state = {f"state.{name}": values.numpy().copy() for name, values in net.state_dict().items()}
    net.double().eval()
    with torch.no_grad():
        logits = net(torch.from_numpy(images[:8].astype(np.float64)))
    tensors |= state | {"logits": logits.numpy()}
    save_file(tensors, GOLDEN / "residual.safetensors")
    print("residual", " ".join(f"{loss:.6f}" for loss in tensors["losses"][:10]), "...")


def batch_norm():
    """Random values of both signs; channels with several means and deviations."""
    generator = np.random.default_rng(5)
    random = lambda *shape: generator.standard_normal(shape).astype(np.float32)
    tensors = {}
    # Planes of one part (a multiple of four) and of two (not a multiple), features; with and without ReLU.
    for name, shape, relu in [
        ("fours", (6, 5, 4, 6), False),
        ("relu", (5, 3, 11, 13), True),
        ("features", (40, 7), True),
    ]:
        layer = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(shape[1], dtype=torch.float64)
        per_channel = (1, -1) + (1,) * (len(shape) - 2)
        own = {key: random(shape[1]) for key in ("weight", "bias", "running_mean")}
        own["running_var"] = np.exp(random(shape[1]))
        own["x"] = random(*shape) * np.exp(random(shape[1])).reshape(per_channel) + 3 * random(
            shape[1]
        ).reshape(per_channel)
        own["d_y"] = random(*shape)
        with torch.no_grad():
            for key in ("weight", "bias", "running_mean", "running_var"):
                getattr(layer, key).copy_(torch.from_numpy(own[key]))
        x = torch.from_numpy(own["x"].astype(np.float64)).requires_grad_()
        after = nn.ReLU() if relu else nn.Identity()
        y = after(layer(x))
        y.backward(torch.from_numpy(own["d_y"].astype(np.float64)))
        found = {
            "y": y,
            "d_x": x.grad,
            "d_weight": layer.weight.grad,
            "d_bias": layer.bias.grad,
            "new_running_mean": layer.running_mean,
            "new_running_var": layer.running_var,
            "inferred": after(layer.eval()(x)),
        }
        own |= {key: values.detach().numpy() for key, values in found.items()}
        tensors |= {f"{name}.{key}": np.ascontiguousarray(values) for key, values in own.items()}
    save_file(tensors, GOLDEN / "batch_norm.safetensors")
    print("batch_norm")


class PaddedConv2d(nn.Conv2d):
    """With a padding (left, right, top, bottom)."""

    def __init__(self, *arguments, sides, **options):
        super().__init__(*arguments, **options)
        self.sides = sides

    def forward(self, x):
        return super().forward(nn.functional.pad(x, self.sides))


def convolutions():
    """Between a convolution of 1×1, which shows the gradient of the layer's input, and a Linear layer."""
    generator = np.random.default_rng(7)
    random = lambda *shape: generator.standard_normal(shape).astype(np.float32)
    transposed = nn.ConvTranspose2d
    kinds = dict(
        same=nn.Conv2d(4, 3, (2, 5), padding="same", dilation=(3, 1)),
        sides=PaddedConv2d(4, 3, (3, 2), stride=(2, 1), sides=(1, 3, 0, 2)),
        grouped=nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
        depthwise=nn.Conv2d(4, 8, 3, padding=(1, 0), dilation=(1, 2), groups=4),
        transposed=transposed(4, 3, (3, 4), stride=(2, 3), padding=(1, 2), output_padding=(1, 0)),
        # With an output padding above the stride.
        spread=transposed(4, 6, (2, 3), (1, 2), 0, (2, 1), dilation=(3, 1), groups=2, bias=False),
    )
    labels = np.array([0, 2, 1], np.int32)
    tensors = dict(images=random(3, 2, 7, 6), labels=labels)
    images = torch.from_numpy(tensors["images"].astype(np.float64))
    for name, layer in kinds.items():
        body = nn.Sequential(nn.Conv2d(2, 4, 1), layer, nn.Flatten()).double()
        net = body.append(nn.Linear(body(images).shape[1], 3).double())
        for key, parameter in net.named_parameters():
            values = random(*parameter.shape) / np.float32(4)
            tensors[f"{name}.{key}"] = values
            parameter.data = torch.from_numpy(values.astype(np.float64))
        logits = net(images)
        nn.functional.cross_entropy(logits, torch.from_numpy(labels.astype(np.int64))).backward()
        tensors[f"{name}.logits"] = logits.detach().numpy()
        for key, parameter in net.named_parameters():
            layer_name, kind = key.split(".")
            tensors[f"{name}.{layer_name}.d_{kind}"] = parameter.grad.numpy()
    tensors = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    save_file(tensors, GOLDEN / "convolutions.safetensors")
    print("convolutions")


if __name__ == "__main__":
    made = [ops, batch_norm, convolutions, trajectories, residual, models, trained]
    for make in made:
        if make.__name__ in sys.argv[1:] or not sys.argv[1:]:
            make()
