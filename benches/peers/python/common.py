"""Shared by the Python peers: options, data, initial weights, batches and timing. Needs only NumPy.

`--steps N` times N training steps, three times, after a warm-up, and prints one line
`RESULT {json}`. `--epochs N` trains and prints the accuracy, to check that the peer really learns.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DATA = Path(os.environ.get("MNIST_DIR", "mnist"))
# The cores that this process may use, which `taskset` can limit.
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@dataclass(frozen=True)
class Model:
    batch: int
    loss: str
    learning_rate: float
    padding: int
    weights: tuple = ()  # shapes, convolutions first; each with a bias of shape [first axis]


MODELS = {
    "tutorial": Model(32, "mse", 0.01, 0, ((4, 1, 3, 3), (32, 676), (10, 32))),
    "larger": Model(64, "cross-entropy", 0.05, 1, ((32, 1, 3, 3), (64, 32, 3, 3), (128, 3136), (10, 128))),
    # Trained by PyTorch alone, with initial weights of its own.
    "lenet5": Model(64, "cross-entropy", 0.05, 2),
    "resnet8": Model(64, "cross-entropy", 0.05, 1),
    "resnet20": Model(64, "cross-entropy", 0.05, 1),
}


def parse_options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=MODELS, default="tutorial")
    parser.add_argument("--steps", type=int, default=0, help="steps of each timed repetition")
    parser.add_argument("--warmup", type=int, default=20, help="steps before the timed ones")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=0, help="epochs to train, with accuracy")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def idx(name):
    raw = (DATA / name).read_bytes()
    axes = raw[3]
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes)]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def samples(split):
    """Images (N, 1, 28, 28) in 0..1 as f32, and labels (N) as i32, of `train` or `t10k`."""
    images = idx(f"{split}-images-idx3-ubyte").astype(np.float32) / np.float32(255)
    return images[:, None], idx(f"{split}-labels-idx1-ubyte").astype(np.int32)


def initial_weights(model, seed):
    """Weights drawn from N(0, 2 / fan-in), zero biases: the same values for every peer."""
    random = np.random.default_rng(seed)
    parameters = []
    for shape in model.weights:
        deviation = np.sqrt(2 / np.prod(shape[1:]))
        parameters.append((random.standard_normal(shape) * deviation).astype(np.float32))
        parameters.append(np.zeros(shape[0], np.float32))
    return parameters


def batches(samples, size, seed):
    """An endless stream of full batches of indices, reshuffled each epoch, the same for every peer."""
    random = np.random.default_rng(1000 + seed)
    while True:
        order = random.permutation(samples)
        for start in range(0, samples - size + 1, size):
            yield order[start : start + size]


def drive(peer, options, step, sync, evaluate, **facts):
    """Trains. `step(indices)` runs one step and returns its loss, which has `.item()`; `sync()` waits
    for the device; `evaluate()` returns the test accuracy."""
    batch = MODELS[options.model].batch
    following = batches(60000, batch, options.seed)
    if options.steps:
        result = time_steps(options, batch, following, step, sync)
        print("RESULT " + json.dumps({"peer": peer, "model": options.model, **facts, **result}))
    for epoch in range(1, options.epochs + 1):
        start, total, steps = time.perf_counter(), 0.0, 60000 // batch
        for _ in range(steps):
            total += step(next(following)).item()
        seconds = time.perf_counter() - start
        print(
            f"epoch {epoch}: {seconds:.1f} s, loss {total / steps:.6f}, "
            f"test accuracy {100 * evaluate():.2f} %",
            flush=True,
        )


def time_steps(options, batch, following, step, sync):
    losses = [step(next(following)).item()]
    sync()
    print("step 0", flush=True)  # `compare` measures the time from program start to this line
    for _ in range(options.warmup):
        loss = step(next(following))
        if len(losses) < 5:
            losses.append(loss.item())
    sync()
    rates = []
    for _ in range(options.repetitions):
        start = time.perf_counter()
        for _ in range(options.steps):
            step(next(following))
        sync()
        rates.append(round(options.steps * batch / (time.perf_counter() - start), 1))
    return {
        "ips_median": sorted(rates)[len(rates) // 2],
        "ips": rates,
        "first_losses": [round(loss, 6) for loss in losses],
    }
