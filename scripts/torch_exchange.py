#!/usr/bin/env python3
"""Exchanges weights with PyTorch, both ways, and compares logits.

    venv/bin/python scripts/torch_exchange.py make    # writes tests/golden/torch_*
    venv/bin/python scripts/torch_exchange.py check FILE LOGITS
                                                      # loads wgrad's weights, compares logits

`make` saves a state_dict of the tutorial's network with PyTorch's safetensors, and with `torch.save` in a
dictionary beside other things; and PyTorch's logits for eight images. Tests load them. `check` reads the files that the same test writes to target/tmp:
exchange.safetensors and exchange_logits.safetensors.
"""

import gzip
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden"


def network():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(676, 32), nn.ReLU(), nn.Linear(32, 10),
    )


def images():
    raw = gzip.open(ROOT / "data" / "mnist" / "t10k-images-idx3-ubyte.gz").read()
    pixels = np.frombuffer(raw, np.uint8, offset=16, count=8 * 784)
    return torch.from_numpy(pixels.reshape(8, 1, 28, 28).astype(np.float32) / np.float32(255))


def make():
    torch.manual_seed(0)
    net = network()
    save_file(net.state_dict(), GOLDEN / "torch_state.safetensors", metadata={"format": "pt"})
    torch.save({"epoch": 3, "state_dict": net.state_dict()}, GOLDEN / "torch_nested.pt")
    with torch.no_grad():
        save_file({"logits": net(images())}, GOLDEN / "torch_logits.safetensors")


def check(weights, logits):
    net = network()
    state = {k: v for k, v in load_file(weights).items() if not k.startswith("optimizer.")}
    net.load_state_dict(state, strict=True)
    with torch.no_grad():
        worst = (net(images()) - load_file(logits)["logits"]).abs().max().item()
    print(f"logits differ by at most {worst:.1e}")
    assert worst < 1e-5


if __name__ == "__main__":
    make() if sys.argv[1] == "make" else check(sys.argv[2], sys.argv[3])
