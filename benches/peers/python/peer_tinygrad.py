"""tinygrad, one jitted step, on the device named by DEV: WEBGPU (WGSL through Dawn, whose library
is at WEBGPU_PATH) or CPU (needs clang)."""

import importlib.metadata

import common
import numpy as np
from tinygrad import Context, Device, Tensor, TinyJit, nn

options = common.parse_options()
model = common.MODELS[options.model]
images, labels = common.samples("train")
test_images, test_labels = common.samples("t10k")
targets = np.eye(10, dtype=np.float32)[labels] if model.loss == "mse" else labels
parameters = [Tensor(values).realize() for values in common.initial_weights(model, options.seed)]
optimizer = nn.optim.SGD(parameters, lr=model.learning_rate)


def net(x):
    layers = list(zip(parameters[::2], parameters[1::2], strict=True))
    for weight, bias in layers[:-2]:
        x = x.conv2d(weight, bias, padding=model.padding).relu().max_pool2d((2, 2))
    (hidden, hidden_bias), (output, output_bias) = layers[-2:]
    return x.flatten(1).linear(hidden.T, hidden_bias).relu().linear(output.T, output_bias)


@TinyJit
def train(x, y):
    with Context(TRAINING=1):
        optimizer.zero_grad()
        logits = net(x)
        if model.loss == "mse":
            loss = ((logits - y) ** 2).mean()
        else:
            loss = logits.sparse_categorical_crossentropy(y)
        return loss.backward().realize(*optimizer.schedule_step())


def step(indices):
    # tinygrad 0.14's jitted gather on the device fails on WEBGPU, so the host gathers the batch.
    return train(Tensor(images[indices]).realize(), Tensor(targets[indices]).realize())


@TinyJit
def classify(x):
    return net(x).argmax(1).realize()


def evaluate():
    parts = [slice(i, i + 1000) for i in range(0, 10000, 1000)]
    answers = [classify(Tensor(test_images[part]).realize()).numpy() for part in parts]
    return (np.concatenate(answers) == test_labels).mean().item()


def device():
    """The adapter's name, from the same request that tinygrad makes."""
    if Device.DEFAULT != "WEBGPU":
        return Device.DEFAULT
    from tinygrad.runtime import ops_webgpu as ops

    high = ops.webgpu.WGPUPowerPreference_HighPerformance
    wanted = ops.webgpu.WGPURequestAdapterOptions(powerPreference=high)
    info = ops.webgpu.WGPUAdapterInfo()
    ops.webgpu.wgpuAdapterGetInfo(ops.InstanceRequestAdapter(ops.instance, wanted), info)
    return ops.from_wgpu_str(info.device)


common.drive(
    "tinygrad", options, step, Device[Device.DEFAULT].synchronize, evaluate,
    version=importlib.metadata.version("tinygrad"), device=device(),
)  # fmt: skip
