"""JAX, one jitted step, on the CPU, with one thread per available core."""

import os

import common

os.environ.setdefault("JAX_PLATFORMS", "cpu")
import jax  # noqa: E402, the device is fixed at import
import jax.numpy as jnp  # noqa: E402

options = common.parse_options()
model = common.MODELS[options.model]
padding = "SAME" if model.padding else "VALID"
images, labels = map(jnp.asarray, common.samples("train"))
test_images, test_labels = map(jnp.asarray, common.samples("t10k"))
parameters = [jnp.asarray(values) for values in common.initial_weights(model, options.seed)]


def max_pool(x):
    # The faster variant per model on the CPU: 38,000 and 28,000 images/s, 1,800 and 1,900.
    if options.model == "tutorial":
        window = (1, 1, 2, 2)
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))


def net(parameters, x):
    layers = list(zip(parameters[::2], parameters[1::2], strict=True))
    for weight, bias in layers[:-2]:
        x = jax.lax.conv_general_dilated(x, weight, (1, 1), padding)
        x = max_pool(jax.nn.relu(x + bias[None, :, None, None]))
    (hidden, hidden_bias), (output, output_bias) = layers[-2:]
    x = jax.nn.relu(x.reshape(x.shape[0], -1) @ hidden.T + hidden_bias)
    return x @ output.T + output_bias


def loss_of(parameters, x, y):
    logits = net(parameters, x)
    if model.loss == "mse":
        return jnp.mean((logits - jax.nn.one_hot(y, 10)) ** 2)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1))


@jax.jit
def train(parameters, images, labels, indices):
    loss, gradients = jax.value_and_grad(loss_of)(parameters, images[indices], labels[indices])
    pairs = zip(parameters, gradients, strict=True)
    return [p - model.learning_rate * d for p, d in pairs], loss


@jax.jit
def right(parameters, x, y):
    return (net(parameters, x).argmax(1) == y).sum()


def step(indices):
    global parameters
    parameters, loss = train(parameters, images, labels, indices.astype("int32"))
    return loss


def evaluate():
    parts = [slice(i, i + 1000) for i in range(0, 10000, 1000)]
    return sum(right(parameters, test_images[p], test_labels[p]).item() for p in parts) / 10000


common.drive(
    "jax", options, step, lambda: jax.block_until_ready(parameters), evaluate,
    version=jax.__version__, device=f"CPU, {common.CORES} threads",
)  # fmt: skip
