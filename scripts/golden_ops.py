"""Each op in PyTorch or NumPy, in double precision. Used by golden.py.

An op's function takes its constants, its step, and a function that reads a binding as f64 (an input, or
the previous contents of an output); it returns its outputs.
"""

import numpy as np
import torch
from torch.nn import functional as F

OPS = {}


def op(function):
    OPS[function.__name__] = function
    return function


def compute(case, read, before):
    words = read | before
    constants = {name: float(value) for name, value in case["constants"].items()}
    constants |= {name: int(value) for name, value in constants.items() if value == int(value)}

    def floats(binding):
        return torch.from_numpy(words[binding].view(np.float32).astype(np.float64))

    floats.words = lambda binding: torch.from_numpy(words[binding].astype(np.int64))
    with np.errstate(all="ignore"):
        return OPS[case["op"]](constants, case["step"], floats)


def window(c):
    """The window on planes that `padded` has padded."""
    return dict(
        kernel_size=(c["KH"], c["KW"]),
        stride=(c.get("STRIDE_H", 1), c.get("STRIDE_W", 1)),
        dilation=(c["DILATION_H"], c["DILATION_W"]),
    )


def sides(c):
    """The padding (left, right, top, bottom), as far as windows reach; negative where they end before."""

    def along(axis):
        begin, steps = c[f"PAD_{axis}"], (c[f"O{axis}"] - 1) * c.get(f"STRIDE_{axis}", 1)
        extent = (c[f"K{axis}"] - 1) * c[f"DILATION_{axis}"] + 1
        return begin, steps + extent - c[axis] - begin

    return along("W") + along("H")


def padded(c, planes, value=0.0):
    return F.pad(planes, sides(c), value=value)


def cropped(c, planes):
    """The adjoint of `padded`."""
    return F.pad(planes, [-side for side in sides(c)])


def padded_size(c):
    left, right, top, bottom = sides(c)
    return top + c["H"] + bottom, left + c["W"] + right


@op
def im2col(c, step, x):
    return [F.unfold(padded(c, x("input").reshape(c["PLANES"], 1, c["H"], c["W"])), **window(c))]


OPS["im2col_4"] = im2col


@op
def col2im(c, step, x):
    columns = x("d_columns").reshape(c["PLANES"], c["KH"] * c["KW"], c["OH"] * c["OW"])
    return [cropped(c, F.fold(columns, padded_size(c), **window(c)))]


NO_PIXEL = 0xFFFFFFFF


def rectified(pooled, indices):
    passes = pooled > 0
    return [torch.relu(pooled), torch.where(passes, indices, NO_PIXEL)]


@op
def max_pool_forward(c, step, x):
    planes = padded(c, x("input").reshape(c["PLANES"], 1, c["H"], c["W"]), -torch.inf)
    maxima, at = F.max_pool2d(planes, **window(c), return_indices=True)
    width = planes.shape[3]
    indices = (at // width - c["PAD_H"]) * c["W"] + at % width - c["PAD_W"]
    return rectified(maxima, indices) if c["RELU"] else [maxima, indices]


@op
def max_pool_backward(c, step, x):
    gradients = x("d_output").reshape(c["PLANES"], -1)
    indices = x.words("indices").reshape(c["PLANES"], -1)
    return [scattered(indices, gradients, c["H"] * c["W"])]


OPS["max_pool_backward_disjoint"] = max_pool_backward


def scattered(indices, gradients, pixels):
    """Gradients of planes, each added at its index; NO_PIXEL stands for an extra pixel, cut off later."""
    zeros = torch.zeros(len(indices), pixels + 1, dtype=torch.float64)
    return zeros.scatter_add(1, indices.clamp(max=pixels), gradients)[:, :pixels]


@op
def max_pool_backward_all(c, step, x):
    """The tutorial's loop: the mask of each window's maxima times the window's gradient."""
    pad = ((0, 0), (c["PAD_H"],) * 2, (c["PAD_W"],) * 2)
    planes = x("input").reshape(c["PLANES"], c["H"], c["W"]).numpy()
    planes = np.pad(planes, pad, constant_values=-np.inf)
    gradients = x("d_output").reshape(c["PLANES"], c["OH"], c["OW"]).numpy()
    d_input = np.zeros_like(planes)
    for p, i, j in np.ndindex(gradients.shape):
        y, z = i * c["STRIDE_H"], j * c["STRIDE_W"]
        region = planes[p, y : y + c["KH"], z : z + c["KW"]]
        mask = region == region.max()
        d_input[p, y : y + c["KH"], z : z + c["KW"]] += mask * gradients[p, i, j]
    h, w = c["PAD_H"], c["PAD_W"]
    return [d_input[:, h : h + c["H"], w : w + c["W"]]]


@op
def gemm(c, step, x):
    def factor(name, rows, columns):
        matrices, *strides = [c[f"{name.upper()}_{what}"] for what in ("MATRICES", "ROW", "COLUMN")]
        shape, strides = (matrices, rows, columns), (rows * columns, *strides)
        return torch.as_strided(x(name), shape, strides)[torch.arange(c["BATCH"]) % matrices]

    a, b = factor("a", c["M"], c["K"]), factor("b", c["K"], c["N"])
    part = -(-c["K"] // c["SPLIT_K"])
    parts = []
    for s in range(c["SPLIT_K"]):
        k = slice(s * part, (s + 1) * part)
        parts.append(a[:, :, k] @ b[:, k, :])
    product = torch.stack(parts, dim=1)
    return [product + x("product").reshape(product.shape) if c["ACCUMULATE"] else product]


def conv_shapes(c):
    n, i, o = c["BATCH"], c["C"], c["O"]
    return (n, i, c["H"], c["W"]), (o, i, c["KH"], c["KW"]), (n, o, c["OH"], c["OW"])


def conv_options(c):
    """On planes that `padded` has padded."""
    return {name: value for name, value in window(c).items() if name != "kernel_size"}


def samples_of(step, x):
    """The sample indices of the step's rows."""
    return x.words("order").numpy()[step["offset"] : step["offset"] + step["rows"]]


def as_bytes(x, name):
    return x.words(name).numpy().astype(np.uint32).view(np.uint8)


def gathered_images(step, x, name, shape):
    """The step's rows of a byte data set, scaled to [0, 1] and rounded to f32, since sums with cancellation
    would show the difference; zeros for padding rows."""
    images = torch.zeros(shape, dtype=torch.float64)
    pixels = samples_of(step, x)[:, None] * images[0].numel() + np.arange(images[0].numel())
    rows = as_bytes(x, name)[pixels] * np.float32(1 / 255)
    images[: step["rows"]] = torch.from_numpy(rows).reshape(-1, *shape[1:])
    return images


def gathered_labels(step, x, rows):
    labels = torch.zeros(rows, dtype=torch.int64)
    labels[: step["rows"]] = torch.from_numpy(as_bytes(x, "labels")[samples_of(step, x)].astype(np.int64))
    return labels


def conv_input(c, step, x):
    images = conv_shapes(c)[0]
    return gathered_images(step, x, "input", images) if c.get("GATHERED") else x("input").reshape(images)


def conv(c, step, x):
    bias = x("bias") if c.get("BIAS", True) else None
    factors = padded(c, conv_input(c, step, x)), x("weight").reshape(conv_shapes(c)[1]), bias
    return F.conv2d(*factors, **conv_options(c))


@op
def conv_forward(c, step, x):
    output = conv(c, step, x)
    return [torch.relu(output) if c["RELU"] else output]


@op
def conv_backward_input(c, step, x):
    images, weights, outputs = conv_shapes(c)
    weight, d_output = x("weight").reshape(weights), x("d_output").reshape(outputs)
    images = (*images[:2], *padded_size(c))
    return [cropped(c, torch.nn.grad.conv2d_input(images, weight, d_output, **conv_options(c)))]


@op
def conv_backward_weight(c, step, x):
    images, weights, outputs = conv_shapes(c)
    input, d_output = padded(c, x("input").reshape(images)), x("d_output").reshape(outputs)
    n, _, oh, ow = outputs
    positions = torch.arange(n * oh * ow).reshape(n, 1, oh, ow)
    part_len = -(-positions.numel() // c["PARTS"])
    gradients = []
    for part in range(c["PARTS"]):
        own = torch.where(positions // part_len == part, d_output, 0)
        d_weight = torch.nn.grad.conv2d_weight(input, weights, own, **conv_options(c))
        gradients.append((d_weight, own.sum((0, 2, 3))))
    return [torch.stack(list(of_all)) for of_all in zip(*gradients)]


# The same convolution, in the tiles of a workgroup.
for kernel in (conv_forward, conv_backward_input, conv_backward_weight):
    OPS[kernel.__name__.replace("conv_", "conv_tile_")] = kernel


def depthwise_shapes(c):
    n, i, o = c["BATCH"], c["C"], c["C"] * c["M"]
    return (n, i, c["H"], c["W"]), (o, 1, c["KH"], c["KW"]), (n, o, c["OH"], c["OW"])


def depthwise_options(c):
    return dict(**conv_options(c), groups=c["C"])


@op
def depthwise_forward(c, step, x):
    images, weights, _ = depthwise_shapes(c)
    factors = padded(c, x("input").reshape(images)), x("weight").reshape(weights)
    output = F.conv2d(*factors, x("bias") if c["BIAS"] else None, **depthwise_options(c))
    return [torch.relu(output) if c["RELU"] else output]


@op
def depthwise_backward_input(c, step, x):
    images, weights, outputs = depthwise_shapes(c)
    weight, d_output = x("weight").reshape(weights), x("d_output").reshape(outputs)
    images = (*images[:2], *padded_size(c))
    return [cropped(c, torch.nn.grad.conv2d_input(images, weight, d_output, **depthwise_options(c)))]


@op
def depthwise_backward_weight(c, step, x):
    images, weights, outputs = depthwise_shapes(c)
    input, d_output = padded(c, x("input").reshape(images)), x("d_output").reshape(outputs)
    n, _, oh, ow = outputs
    positions = torch.arange(n * oh * ow).reshape(n, 1, oh, ow)
    part_len = -(-positions.numel() // c["PARTS"])
    gradients = []
    for part in range(c["PARTS"]):
        own = torch.where(positions // part_len == part, d_output, 0)
        gradients.append(torch.nn.grad.conv2d_weight(input, weights, own, **depthwise_options(c)))
    return [torch.stack(gradients)]


@op
def conv_pool_forward(c, step, x):
    return rectified(*F.max_pool2d(conv(c, step, x), 2, return_indices=True))


@op
def conv_pool_backward_weight(c, step, x):
    _, weights, outputs = conv_shapes(c)
    planes = c["BATCH"] * c["O"]
    indices, d_pooled = x.words("indices").reshape(planes, -1), x("d_pooled").reshape(planes, -1)
    d_output = scattered(indices, d_pooled, c["OH"] * c["OW"]).reshape(outputs)
    input = padded(c, conv_input(c, step, x))
    d_weight = torch.nn.grad.conv2d_weight(input, weights, d_output, **conv_options(c))
    d_bias = d_output.sum((0, 2, 3))
    if c["ACCUMULATE"]:
        d_weight = d_weight + x("d_weight").reshape(weights)
        d_bias = d_bias + x("d_bias")
    return [d_weight, d_bias]


def product(c, x):
    batch, m, n, k = c["BATCH"], c["M"], c["N"], c["K"]
    a = x("a").reshape(-1, *((k, m) if c["A_TRANSPOSED"] else (m, k)))
    b = x("b").reshape(-1, *((n, k) if c["B_TRANSPOSED"] else (k, n)))
    a = a.mT if c["A_TRANSPOSED"] else a
    value = a @ (b.mT if c["B_TRANSPOSED"] else b)
    if c["ACCUMULATE"]:
        value = value + x("product").reshape(batch, m, n)
    if c["BIAS"]:
        value = value + (x("extra")[:, None] if c["BIAS_OF_ROWS"] else x("extra"))
    if c["RELU"]:
        value = torch.relu(value)
    if c["MASKED"]:
        value = torch.where(x("extra").reshape(batch, m, n) > 0, value, 0)
    return value, a.expand(batch, m, k).sum(2)


def product_by(name):
    def alone(c, step, x):
        return [product(c, x)[0]]

    def with_sums(c, step, x):
        value, sums = product(c, x)
        return [value, sums + x("row_sums").reshape(sums.shape) if c["ACCUMULATE"] else sums]

    OPS[name], OPS[f"{name}_sums"] = alone, with_sums


KERNELS = "4x4 8x8 broadcast broadcast_tall lanes subgroup tile workgroup"
for kernel in KERNELS.split():
    product_by(f"gemm_{kernel}")


@op
def linear_backward(c, step, x):
    n, o, i = c["BATCH"], c["OUTPUTS"], c["INPUTS"]
    layer = torch.nn.Linear(i, o).double()
    layer.weight.data = x("weight").reshape(o, i)
    values = x("input").reshape(n, i).requires_grad_()
    layer(values).backward(x("d_output").reshape(n, o))
    d_input = torch.where(values > 0, values.grad, 0) if c["MASKED"] else values.grad
    gradients = [layer.weight.grad, layer.bias.grad]
    if c["ACCUMULATE"]:
        gradients = [d + x(name).reshape(d.shape) for d, name in zip(gradients, ("d_weight", "d_bias"))]
    return [*gradients, d_input]


@op
def reduce_sum(c, step, x):
    partials = x("partials").reshape(c["GROUPS"], c["PARTS"], c["LEN"])
    share = -(-c["PARTS"] // c["SPLIT"])
    shares = [partials[:, s * share : (s + 1) * share].sum(1) for s in range(c["SPLIT"])]
    total = torch.stack(shares, dim=1)
    return [total + x("sum").reshape(total.shape) if c["ACCUMULATE"] else total]


@op
def bias_forward(c, step, x):
    values = x("input").reshape(-1, c["CHANNELS"], c["AREA"])
    return [values + x("bias")[None, :, None]]


@op
def bias_backward(c, step, x):
    return [x("d_output").reshape(c["ROWS"], c["AREA"]).sum(1)]


ACTIVATIONS = [
    None,
    torch.sigmoid,
    torch.tanh,
    F.silu,
    F.gelu,
    lambda x: F.gelu(x, approximate="tanh"),
]


def activated(c, x):
    activation = ACTIVATIONS[c["FUNCTION"]]
    return activation(x) if activation else F.leaky_relu(x, c["SLOPE"])


@op
def activation_forward(c, step, x):
    return [activated(c, x("input"))]


@op
def activation_backward(c, step, x):
    values = x("input").requires_grad_()
    activated(c, values).backward(x("d_output"))
    return [values.grad]


@op
def relu_forward(c, step, x):
    return [torch.relu(x("input"))]


@op
def relu_backward(c, step, x):
    values = x("activated").requires_grad_()
    torch.relu(values).backward(x("d_output"))
    return [values.grad]


@op
def add(c, step, x):
    total = x("a") + x("b")
    return [torch.relu(total) if c["RELU"] else total]


OPS["add_4"] = add


@op
def copy_slice(c, step, x):
    source, target = (x(name).reshape(c["ROWS"], -1) for name in ("input", "output"))
    target[:, c["TO"] : c["TO"] + c["LEN"]] = source[:, c["FROM"] : c["FROM"] + c["LEN"]]
    return [target]


def resized(c, planes, mode):
    options = dict(align_corners=False) if mode == "bilinear" else {}
    return F.interpolate(planes.reshape(1, -1, c["H"], c["W"]), (c["OH"], c["OW"]), mode=mode, **options)


def upsample(mode):
    def forward(c, step, x):
        return [resized(c, x("input"), mode)]

    def backward(c, step, x):
        planes = torch.zeros(c["PLANES"] * c["H"] * c["W"], dtype=torch.float64, requires_grad=True)
        resized(c, planes, mode).backward(x("d_output").reshape(1, -1, c["OH"], c["OW"]))
        return [planes.grad]

    OPS[f"upsample_{mode}"], OPS[f"upsample_{mode}_backward"] = forward, backward


upsample("nearest")
upsample("bilinear")


def avg_pool(c, planes):
    if c["ADAPTIVE"]:
        return F.adaptive_avg_pool2d(planes, (c["OH"], c["OW"]))
    options = dict(count_include_pad=bool(c["COUNT_PADDING"]))
    sizes = ((c["KH"], c["KW"]), (c["STRIDE_H"], c["STRIDE_W"]), (c["PAD_H"], c["PAD_W"]))
    return F.avg_pool2d(planes, *sizes, **options)


@op
def multiply(c, step, x):
    return [x("planes").reshape(c["PLANES"], -1) * x("factors")[:, None]]


def of_places(c, values):
    return values.reshape(c["ROWS"], c["CLASSES"], c["CLASS_STRIDE"])


@op
def softmax_forward(c, step, x):
    return [of_places(c, x("logits")).softmax(1)]


@op
def softmax_backward(c, step, x):
    output, d_output = (of_places(c, x(name)) for name in ("output", "d_output"))
    return [output * (d_output - (d_output * output).sum(1, keepdim=True))]


@op
def avg_pool_forward(c, step, x):
    return [avg_pool(c, x("input").reshape(1, c["PLANES"], c["H"], c["W"]))]


@op
def avg_pool_backward(c, step, x):
    planes = torch.zeros(1, c["PLANES"], c["H"], c["W"], dtype=torch.float64, requires_grad=True)
    avg_pool(c, planes).backward(x("d_output").reshape(1, -1, c["OH"], c["OW"]))
    return [planes.grad]


def philox(key, counter):
    """Philox4x32-10 of Salmon et al. (2011)."""
    key, (a, b, c, d) = list(key), counter
    for _ in range(10):
        first, second = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b = second >> 32 ^ b ^ key[0], second % 2**32
        c, d = first >> 32 ^ d ^ key[1], first % 2**32
        key = [(k + bump) % 2**32 for k, bump in zip(key, (0x9E3779B9, 0xBB67AE85))]
    return a, b, c, d


@op
def dropout(c, step, x):
    """PyTorch's formula, with our mask."""
    values = x("input")
    groups = len(values) // c["AREA"]
    fours = range(-(-groups // 4))
    counters = [(four, c["STREAM"], step["number"], step["epoch"]) for four in fours]
    words = [word for counter in counters for word in philox(step["seed"], counter)]
    kept = torch.tensor(words[:groups]) >= c["THRESHOLD"]
    kept = kept.repeat_interleave(c["AREA"])
    return [torch.where(kept, values / (1 - c["THRESHOLD"] / 2**32), 0)]


OPS["dropout_4"] = OPS["dropout_planes"] = dropout


def labels_of(c, step, x):
    """The labels of the step's rows."""
    labels = gathered_labels(step, x, c["ROWS"]) if c.get("GATHERED") else x.words("labels")
    return labels[: step["rows"]]


def loss(c, step, x, row_losses, gradient_of):
    """Losses of the step's rows and the gradient of their reduction; zeros for padding rows."""
    rows = step["rows"]
    logits = x("logits").reshape(c["ROWS"], c["CLASSES"]).requires_grad_()
    labels = labels_of(c, step, x)
    row_loss = torch.zeros(c["ROWS"], dtype=torch.float64)
    row_loss[:rows] = row_losses(logits[:rows], labels)
    gradient_of(logits[:rows], labels).backward()
    return [row_loss.detach(), logits.grad]


@op
def mse(c, step, x):
    one_hot = lambda labels: F.one_hot(labels, c["CLASSES"]).double()
    squares = lambda p, labels: F.mse_loss(p, one_hot(labels), reduction="none").sum(1)
    # SCALE is 2 for the sum over classes, 2/C for the mean over them.
    reduced = lambda p, labels: squares(p, labels).mean() * c["SCALE"] / 2
    return loss(c, step, x, squares, reduced)


@op
def cross_entropy(c, step, x):
    rows = lambda p, labels: F.cross_entropy(p, labels, reduction="none")
    return loss(c, step, x, rows, F.cross_entropy)


@op
def metrics(c, step, x):
    rows, slot = step["rows"], step["slot"]
    loss_sum, correct = x("loss_sum"), x.words("correct")
    logits = x("logits").reshape(-1, c["CLASSES"]).numpy()
    loss_sum[slot] = x("row_loss")[:rows].sum()
    correct[slot] = int((logits.argmax(1)[:rows] == labels_of(c, step, x).numpy()).sum())
    return [loss_sum, correct]


def with_metrics(c, step, x, of_rows):
    """The gradient of a loss, then the `metrics` of its rows."""
    row_loss, d_logits = of_rows(c, step, x)
    rows, slot = step["rows"], step["slot"]
    loss_sum, correct = x("loss_sum"), x.words("correct")
    logits = x("logits").reshape(-1, c["CLASSES"]).numpy()
    loss_sum[slot] = row_loss[:rows].sum()
    correct[slot] = int((logits.argmax(1)[:rows] == labels_of(c, step, x).numpy()).sum())
    return [d_logits, loss_sum, correct]


@op
def mse_metrics(c, step, x):
    return with_metrics(c, step, x, mse)


@op
def cross_entropy_metrics(c, step, x):
    return with_metrics(c, step, x, cross_entropy)


def selective(kernel):
    """The optimizer `kernel`, run with its decay and without, and the marked blocks of 64 of the former."""

    def both(c, step, x):
        decaying, others = kernel(c, step, x), kernel(c | {"WEIGHT_DECAY": 0}, step, x)
        decays = x.words("decayed").repeat_interleave(64)[: c["LEN"]] != 0
        return [torch.where(decays, a, b) for a, b in zip(decaying, others)]

    return both


def optimize(c, step, x, momentum):
    parameter = torch.nn.Parameter(x("parameters"))
    parameter.grad = x("gradients")
    options = dict(lr=step["learning_rate"], weight_decay=c["WEIGHT_DECAY"], momentum=momentum)
    options["nesterov"] = bool(c.get("NESTEROV"))
    optimizer = torch.optim.SGD([parameter], **options)
    if momentum:
        optimizer.state[parameter]["momentum_buffer"] = x("velocity")
    optimizer.step()
    state = [optimizer.state[parameter]["momentum_buffer"]] if momentum else []
    return [parameter.detach(), *state]


@op
def sgd(c, step, x):
    return optimize(c, step, x, 0)


OPS["sgd_4"] = sgd
OPS["sgd_selective"] = selective(sgd)


@op
def sgd_momentum(c, step, x):
    return optimize(c, step, x, c["MOMENTUM"])


OPS["sgd_momentum_selective"] = selective(sgd_momentum)


@op
def adam(c, step, x):
    """PyTorch's Adam, with lr, eps and decay adjusted to the host's rounded corrections."""
    parameter = torch.nn.Parameter(x("parameters"))
    parameter.grad = x("gradients")
    number = step["number"] + 1
    first, root = (1 - c["BETA1"] ** number), (1 - c["BETA2"] ** number) ** 0.5
    rounding, root_rounding = step["scalars"][0] * first, step["scalars"][1] * root
    assert max(abs(rounding - 1), abs(root_rounding - 1)) < 1.001 * 2**-24, step
    scale = rounding / root_rounding
    kind = torch.optim.AdamW if c["DECOUPLED"] else torch.optim.Adam
    optimizer = kind(
        [parameter],
        lr=step["learning_rate"] * scale,
        betas=(float(c["BETA1"]), float(c["BETA2"])),
        eps=c["EPS"] / root_rounding,
        weight_decay=c["WEIGHT_DECAY"] / (scale if c["DECOUPLED"] else 1),
    )
    moments = dict(exp_avg=x("first"), exp_avg_sq=x("second"))
    optimizer.state[parameter] = dict(step=torch.tensor(float(number - 1)), **moments)
    optimizer.step()
    return [parameter.detach(), *moments.values()]


OPS["adam_4"] = adam
OPS["adam_selective"] = selective(adam)


def rms_prop(c, step, x):
    parameter = torch.nn.Parameter(x("parameters"))
    parameter.grad = x("gradients")
    centered, momentum = "centered" in step["op"], c.get("MOMENTUM", 0)
    options = dict(alpha=c["ALPHA"], eps=c["EPS"], weight_decay=c["WEIGHT_DECAY"])
    options |= dict(lr=step["learning_rate"], centered=centered, momentum=momentum)
    optimizer = torch.optim.RMSprop([parameter], **options)
    state = dict(square_avg=x("square"))
    if centered:
        state["grad_avg"] = x("mean")
    if momentum:
        state["momentum_buffer"] = x("velocity")
    optimizer.state[parameter] = dict(step=torch.tensor(1.0), **state)
    optimizer.step()
    return [parameter.detach(), *state.values()]


for name in ("", "_centered", "_momentum", "_centered_momentum"):
    OPS[f"rms_prop{name}"] = selective(
        lambda c, step, x, name=name: rms_prop(c, step | {"op": name}, x)
    )


def lion_update(c, step, x):
    """The paper's algorithm 2, in NumPy."""
    parameter, momentum, gradient = (x(name).numpy() for name in ("parameters", "momentum", "gradients"))
    rate = step["learning_rate"]
    direction = np.sign(c["BETA1"] * momentum + (1 - c["BETA1"]) * gradient)
    after = parameter - rate * (direction + c["WEIGHT_DECAY"] * parameter)
    mixed = c["BETA2"] * momentum + (1 - c["BETA2"]) * gradient
    return [torch.from_numpy(after), torch.from_numpy(mixed)]


OPS["lion"] = selective(lion_update)


@op
def average_parameters(c, step, x):
    average = torch.optim.swa_utils.get_ema_multi_avg_fn(c["DECAY"])
    before, parameters = x("average"), x("parameters")
    if step["number"] == 0:
        return [parameters]
    average([before], [parameters], step["number"])
    return [before]


@op
def sum_squares(c, step, x):
    squares = F.pad(x("gradients") ** 2, (0, -c["LEN"] % c["PARTS"]))
    return [squares.reshape(-1, c["PARTS"]).sum(0)]


@op
def clip_norm(c, step, x):
    norm = x("squared_norm")[0].sqrt()
    parameter = torch.nn.Parameter(torch.zeros(c["LEN"], dtype=torch.float64))
    parameter.grad = x("gradients")
    torch.nn.utils.clip_grads_with_norm_([parameter], c["LIMIT"], norm)
    return [parameter.grad]


@op
def clip_value(c, step, x):
    parameter = torch.nn.Parameter(torch.zeros(c["LEN"], dtype=torch.float64))
    parameter.grad = x("gradients")
    torch.nn.utils.clip_grad_value_([parameter], c["LIMIT"])
    return [parameter.grad]


@op
def gather(c, step, x):
    images = gathered_images(step, x, "images", (c["ROWS"], c["SAMPLE_LEN"]))
    return [images, gathered_labels(step, x, c["ROWS"])]


def parts_of(c, values):
    """(N, C, AREA) as (N, C, PARTS, PART_LEN), zero-padded after the last part, and a mask of the elements."""
    rows, channels, area, parts = c["ROWS"], c["CHANNELS"], c["AREA"], c["PARTS"]
    whole = parts * c["PART_LEN"]
    shape = (rows, channels, parts, c["PART_LEN"])
    padded = F.pad(values.reshape(rows, channels, area), (0, whole - area))
    return padded.reshape(shape), (torch.arange(whole) < area).reshape(shape[2:])


@op
def batch_norm_moments(c, step, x):
    values, real = parts_of(c, x("x"))
    means = values.sum(-1) / real.sum(-1)
    squares = torch.where(real, (values - means[..., None]) ** 2, 0).sum(-1)
    return [means, squares]


@op
def batch_norm_statistics(c, step, x):
    shape = (c["ROWS"], c["CHANNELS"], c["PARTS"])
    means, squares = (x(name).reshape(shape)[: step["rows"]] for name in ("means", "squares"))
    sizes = parts_of(c, torch.zeros(shape[0] * shape[1] * c["AREA"]))[1].sum(-1).double()
    count = step["rows"] * c["AREA"]
    mean = (means * sizes).sum((0, 2)) / count
    total = squares.sum((0, 2)) + (sizes * (means - mean[:, None]) ** 2).sum((0, 2))
    running_mean = torch.lerp(x("running_mean"), mean, c["MOMENTUM"])
    running_var = x("running_var")
    if count > 1:
        running_var = torch.lerp(running_var, total / (count - 1), c["MOMENTUM"])
    batches = x.words("batches") + 1
    return [mean, 1 / torch.sqrt(total / count + c["EPS"]), running_mean, running_var, batches]


def of_channels(c, values):
    return values.reshape(c["ROWS"], c["CHANNELS"], c["AREA"])


def real_rows(c, step, values):
    """Zeros in padding rows."""
    return torch.where(torch.arange(c["ROWS"])[:, None, None] < step["rows"], values, 0)


@op
def batch_norm_forward(c, step, x):
    mean, inverse, weight, bias = (
        x(name)[:, None] for name in ("mean", "inverse_deviation", "weight", "bias")
    )
    y = real_rows(c, step, (of_channels(c, x("x")) - mean) * inverse * weight + bias)
    return [torch.relu(y) if c["RELU"] else y]


@op
def batch_norm_infer(c, step, x):
    statistics = (x(name) for name in ("running_mean", "running_var", "weight", "bias"))
    y = F.batch_norm(of_channels(c, x("x")), *statistics, training=False, eps=c["EPS"])
    return [torch.relu(y) if c["RELU"] else y]


def normal_and_gradient(c, x):
    """x̂, and d_y after the gradient of ReLU."""
    normal = (of_channels(c, x("x")) - x("mean")[:, None]) * x("inverse_deviation")[:, None]
    d_y, y = of_channels(c, x("d_y")), of_channels(c, x("y"))
    return normal, torch.where(y > 0, d_y, 0) if c["RELU"] else d_y


@op
def batch_norm_backward_sums(c, step, x):
    normal, d_y = normal_and_gradient(c, x)
    return [parts_of(c, values)[0].sum(-1) for values in (d_y, d_y * normal)]


@op
def batch_norm_backward_reduce(c, step, x):
    shape = (c["ROWS"], c["CHANNELS"], c["PARTS"])
    partials = (x(name).reshape(shape) for name in ("d_bias_partials", "d_weight_partials"))
    d_bias, d_weight = (values[: step["rows"]].sum((0, 2)) for values in partials)
    sums = torch.cat([d_bias, d_weight])
    if c["ACCUMULATE"]:
        d_bias, d_weight = d_bias + x("d_bias"), d_weight + x("d_weight")
    return [sums, d_weight, d_bias]


@op
def batch_norm_backward_input(c, step, x):
    normal, d_y = normal_and_gradient(c, x)
    of_mean, of_deviation = x("sums").reshape(2, -1, 1) / (step["rows"] * c["AREA"])
    scale = (x("weight") * x("inverse_deviation"))[:, None]
    return [real_rows(c, step, scale * (d_y - of_mean - normal * of_deviation))]


@op
def group_norm_statistics(c, step, x):
    shape = (c["CHANNELS"], c["PARTS"])
    means, squares = (x(name).reshape(shape) for name in ("means", "squares"))
    sizes = parts_of(c | {"ROWS": 1}, torch.zeros(c["CHANNELS"] * c["AREA"]))[1].sum(-1).double()
    mean = (means * sizes).sum(1) / c["AREA"]
    total = squares.sum(1) + (sizes * (means - mean[:, None]) ** 2).sum(1)
    return [mean, 1 / torch.sqrt(total / c["AREA"] + c["EPS"])]


def weights_of_elements(c, area, values):
    """The weight of each element of (R, L): the same for `area` elements in a row."""
    elements = c["RUNS"] * c["RUN_LEN"]
    whole = values.repeat_interleave(area)
    return whole.repeat(-(-elements // len(whole)))[:elements].reshape(c["RUNS"], -1)


def normal_of_runs(c, x):
    values = x("x").reshape(c["RUNS"], -1)
    return (values - x("mean")[:, None]) * x("inverse_deviation")[:, None]


@op
def group_norm_forward(c, step, x):
    y = normal_of_runs(c, x)
    if c["AFFINE"]:
        weight, bias = (weights_of_elements(c, c["WEIGHT_LEN"], x(name)) for name in ("weight", "bias"))
        y = y * weight + bias
    return [y]


@op
def group_norm_backward_sums(c, step, x):
    d_y = x("d_y").reshape(c["RUNS"], -1)
    values = (d_y, d_y * normal_of_runs(c, x))
    return [parts_of(c | {"ROWS": 1}, each)[0].sum(-1) for each in values]


@op
def group_norm_backward_runs(c, step, x):
    partials = torch.stack([x("d_bias_partials"), x("d_weight_partials")])
    if c["AFFINE"]:
        areas = partials.reshape(2, -1, c["WEIGHTS"], c["PARTS"])
        partials = areas * x("weight")[:, None]
    return [partials.reshape(2, c["RUNS"], -1).sum(-1).T]


@op
def group_norm_backward_input(c, step, x):
    normal, gradient = normal_of_runs(c, x), x("d_y").reshape(c["RUNS"], -1)
    if c["AFFINE"]:
        gradient = gradient * weights_of_elements(c, c["AREA"], x("weight"))
    of_mean, of_deviation = (x("sums").reshape(-1, 2) / c["RUN_LEN"]).T[..., None]
    return [x("inverse_deviation")[:, None] * (gradient - of_mean - normal * of_deviation)]


@op
def zero(c, step, x):
    return [torch.zeros(c["LEN"])]


@op
def gather_array(c, step, x):
    values = x.words("values")
    if c["BYTES"]:
        values = torch.from_numpy(values.numpy().astype(np.uint32).view(np.uint8).astype(np.int64))
    order = x.words("order")[step["offset"] : step["offset"] + step["rows"]]
    batch = torch.zeros(c["ROWS"], c["LEN"], dtype=torch.int64)
    batch[: step["rows"]] = values[: len(values) // c["LEN"] * c["LEN"]].reshape(-1, c["LEN"])[order]
    if c["SCALED"]:
        return [(batch.numpy().astype(np.float32) * np.float32(1 / 255)).view(np.uint32)]
    return [batch]


def summed(step, c, values, before):
    table = before.clone()
    table[step["slot"]] = values.reshape(-1, c["ROW_LEN"])[: step["rows"]].sum()
    return [table]


@op
def sum_losses(c, step, x):
    return summed(step, c, x("losses"), x("loss_sum"))


@op
def sum_counts(c, step, x):
    return summed(step, c, x.words("counts"), x.words("total"))


@op
def soft_cross_entropy(c, step, x):
    """The mean over the batch, in which PyTorch's class weights are those of the samples alone."""
    rows, shape = step["rows"], (c["ROWS"], c["CLASSES"], c["AREA"])
    logits = x("logits").reshape(shape).requires_grad_()
    options = dict(weight=x("weights"), label_smoothing=c["SMOOTHING"], reduction="none")
    targets = x.words("targets").reshape(c["ROWS"], -1) if c["HARD"] else x("targets").reshape(shape)
    losses = torch.zeros(c["ROWS"], c["AREA"], dtype=torch.float64)
    losses[:rows] = F.cross_entropy(logits[:rows], targets[:rows], **options)
    (losses.sum() * c["SCALE"] / rows).backward()
    wanted = targets if c["HARD"] else targets.argmax(1)
    correct = torch.zeros(c["ROWS"], c["AREA"], dtype=torch.int64)
    correct[:rows] = (logits.argmax(1) == wanted)[:rows]
    return [losses.detach(), correct, logits.grad]


def of_elements(c, step, x, function):
    """The sums of runs of 16 elements of the losses, and the gradient."""
    shape, rows = (c["ROWS"], c["LEN"]), step["rows"]
    output = x("output").reshape(shape).requires_grad_()
    losses = torch.zeros(shape, dtype=torch.float64)
    losses[:rows] = function(output[:rows], x("targets").reshape(shape)[:rows])
    (losses.sum() * c["SCALE"] / rows).backward()
    return runs(losses.detach()), output.grad


def runs(values):
    return F.pad(values, (0, -values.shape[1] % 16)).reshape(values.shape[0], -1, 16).sum(2)


@op
def difference_loss(c, step, x):
    function = [
        lambda a, b: F.mse_loss(a, b, reduction="none"),
        lambda a, b: F.l1_loss(a, b, reduction="none"),
        lambda a, b: F.huber_loss(a, b, reduction="none", delta=c["DELTA"]),
    ]
    return of_elements(c, step, x, function[c["FUNCTION"]])


@op
def binary_cross_entropy(c, step, x):
    function = lambda a, b: F.binary_cross_entropy_with_logits(a, b, reduction="none")
    losses, gradient = of_elements(c, step, x, function)
    right = (x("output") > 0) == (x("targets") > 0.5)
    right = right.reshape(c["ROWS"], c["LEN"]).long()
    right[step["rows"] :] = 0
    return [losses, runs(right), gradient]


def draw(words, end):
    """A number below end, from a random word."""
    return (words >> 16) * end >> 16


def around_zero(word, most):
    return draw(word, 2 * most + 1) - most


def quadrant(angle):
    """Sine and cosine times 2**15 of an angle in turns of 2**16, by Taylor's polynomials up to 45°."""
    quarter = angle + 8192 >> 14
    x = (angle - quarter * 16384) * 205887 >> 16
    square = x * x >> 15
    fourth = square * square >> 15
    toward_zero = lambda value, by: int(value / by)
    sine = x - toward_zero(x * square >> 15, 6) + toward_zero(x * fourth >> 15, 120)
    cosine = 32768 - square // 2 + fourth // 24 - (fourth * square >> 15) // 720
    return [(sine, cosine), (cosine, -sine), (-sine, -cosine), (-cosine, sine)][quarter & 3]


def changed_image(c, step, row, image):
    """One image of levels, changed, times 2**16."""
    height, width = c["H"], c["W"]
    y, x = np.mgrid[:height, :width]
    if not step["augments"]:
        return image << 16
    counter = lambda stream: (row, 2**32 - 1 - stream, step["number"], step["epoch"])
    place, form, light = (philox(step["seed"], counter(stream)) for stream in range(3))
    u, v = 2 * x - (width - 1), 2 * y - (height - 1)
    if c["FLIP"] and place[0] >> 31:
        u = -u
    zoom = c["ZOOM_LEAST"] + draw(form[0], c["ZOOM_SPAN"] + 1)
    sine, cosine = (part * zoom >> 12 for part in quadrant(around_zero(place[3], c["ROTATION"])))
    source_x = cosine * u + sine * v + (width - 1) * 2**15 - around_zero(place[2], c["SHIFT_W"]) * 2**16
    source_y = cosine * v - sine * u + (height - 1) * 2**15 - around_zero(place[1], c["SHIFT_H"]) * 2**16
    far = 2**12
    padded = np.pad(image, ((0, 0), (far, far), (far, far)), constant_values=c["FILL"])
    at = lambda dy, dx: padded[:, (source_y >> 16) + dy + far, (source_x >> 16) + dx + far]
    right, down = source_x % 2**16 >> 8, source_y % 2**16 >> 8
    rows = [at(dy, 0) * (256 - right) + at(dy, 1) * right for dy in (0, 1)]
    value = rows[0] * (256 - down) + rows[1] * down
    contrast = c["CONTRAST_LEAST"] + draw(light[0], c["CONTRAST_SPAN"] + 1)
    brightness = around_zero(light[1], c["BRIGHTNESS"])
    if (contrast, brightness) != (1024, 0):
        grey = 127 * 256 + 128
        lit = ((value + 128 >> 8) - grey) * contrast >> 10
        value = np.clip(lit + grey + 4 * brightness, 0, 255 * 256) << 8
    first = [draw(word, extent) - c["CUTOUT"] // 2 for word, extent in [(form[1], height), (form[2], width)]]
    within = lambda at, first: (at >= first) & (at < first + c["CUTOUT"])
    return np.where(within(y, first[0]) & within(x, first[1]), c["FILL"] << 16, value)


def bytes_of(words):
    return torch.from_numpy(words.numpy().astype(np.uint32).view(np.uint8).astype(np.int64))


@op
def augment(c, step, x):
    shape = (c["C"], c["H"], c["W"])
    order = x.words("order").numpy()[step["offset"] :]
    bytes = bytes_of(x.words("images")).numpy()
    batch = np.zeros((c["ROWS"], *shape), dtype=np.int64)
    size = int(np.prod(shape))
    images = [bytes[sample * size : (sample + 1) * size].reshape(shape) for sample in order]
    rows = [changed_image(c, step, row, images[row]) for row in range(step["rows"])]
    for row, own in enumerate(rows):
        other = rows[(row + 1) % len(rows)]
        mix = step["mix"]
        batch[row] = own * mix + other * (256 - mix) + 128 >> 8 if mix < 256 else own
    scale = np.float32(1) / np.float32(255) / np.float32(65536)
    return [batch.astype(np.float32) * scale]


@op
def mix_labels(c, step, x):
    order = x.words("order")[step["offset"] : step["offset"] + step["rows"]]
    own = F.one_hot(bytes_of(x.words("labels"))[order], 256)[:, : c["CLASSES"]].double()
    batch = torch.zeros(c["ROWS"], c["CLASSES"], dtype=torch.float64)
    share = step["mix"] / 256
    batch[: step["rows"]] = share * own + (1 - share) * own.roll(-1, 0)
    return [batch]


@op
def normalize_channels(c, step, x):
    values = x("input").reshape(-1, c["C"], c["AREA"])
    return [(values - x("means")[:, None]) * x("factors")[:, None]]
