#!/usr/bin/env python3
"""Makes tests/golden/*.safetensors: losses of the first ten steps of two networks, by PyTorch.

    python3 -m venv venv && venv/bin/pip install torch numpy safetensors
    venv/bin/python scripts/golden.py data/mnist tests/golden

Weights and batches are drawn by NumPy in f32; PyTorch computes in f64, so that the losses are right
far beyond f32. The tests read the files; nothing needs PyTorch to build or to run.
"""

import gzip
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn

STEPS = 10


def mnist(folder):
    def idx(name, header):
        return np.frombuffer(gzip.open(folder / f"{name}.gz").read(), np.uint8, offset=header)

    images = idx("train-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28)
    return images.astype(np.float32) / np.float32(255), idx("train-labels-idx1-ubyte", 8)


def he_normal(net, seed):
    """Normal weights of deviation sqrt(2 / fan_in), zero biases, in the order of the layers."""
    generator = np.random.default_rng(seed)
    parameters = {}
    for name, parameter in net.named_parameters():
        shape = tuple(parameter.shape)
        if name.endswith("weight"):
            scale = np.sqrt(2 / np.prod(shape[1:]))
            values = (generator.standard_normal(shape) * scale).astype(np.float32)
        else:
            values = np.zeros(shape, np.float32)
        parameters[name] = values
        parameter.data = torch.from_numpy(values.astype(np.float64))
    return parameters


def losses(net, loss_of, optimizer, images, labels, order, batch):
    result = []
    for step in range(STEPS):
        rows = order[step * batch : (step + 1) * batch]
        x = torch.from_numpy(images[rows].astype(np.float64))
        loss = loss_of(net(x), torch.from_numpy(labels[rows].astype(np.int64)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        result.append(loss.item())
    return np.array(result)


def mse(logits, labels):
    return nn.functional.mse_loss(logits, nn.functional.one_hot(labels, 10).to(logits.dtype))


def main(data, out):
    images, labels = mnist(data)
    order = np.random.default_rng(1000).permutation(len(labels))

    # The tutorial's network and recipe.
    tutorial = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(676, 32), nn.ReLU(), nn.Linear(32, 10),
    )
    # Uneven kernels, strides and paddings, overlapping pools, a convolution behind another one,
    # layers without bias, momentum and weight decay.
    uneven = nn.Sequential(
        nn.Conv2d(1, 3, (3, 2), stride=(2, 1), padding=(1, 0)), nn.ReLU(),
        nn.MaxPool2d((3, 2), stride=(1, 2), padding=(1, 0)),
        nn.Conv2d(3, 5, (2, 3), stride=(1, 2), padding=(0, 2), bias=False), nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1), nn.Flatten(),
        nn.Linear(140, 16, bias=False), nn.ReLU(), nn.Linear(16, 10),
    )
    for name, net, loss_of, batch, options in [
        ("tutorial", tutorial, mse, 32, dict(lr=0.01)),
        ("uneven", uneven, nn.functional.cross_entropy, 24,
         dict(lr=0.05, momentum=0.9, weight_decay=0.01)),
    ]:
        tensors = he_normal(net, 0)
        optimizer = torch.optim.SGD(net.parameters(), **options)
        tensors["order"] = order[: STEPS * batch].astype(np.int32)
        tensors["losses"] = losses(net, loss_of, optimizer, images, labels, order, batch)
        for parameter, values in net.named_parameters():
            tensors[f"trained.{parameter}"] = values.detach().numpy()
        save_file(tensors, out / f"{name}.safetensors")
        print(name, " ".join(f"{loss:.6f}" for loss in tensors["losses"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
