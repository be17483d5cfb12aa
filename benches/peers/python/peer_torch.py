"""PyTorch, eager, on the CPU."""

import common
import torch
import torch.nn.functional as F
from torch import nn

options = common.parse_options()
model = common.MODELS[options.model]
torch.set_num_threads(common.CORES)
torch.set_num_interop_threads(1)

if options.model == "tutorial":
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(676, 32), nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip
else:
    net = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
with torch.no_grad():
    for parameter, values in zip(
        net.parameters(), common.initial_weights(model, options.seed), strict=True
    ):
        parameter.copy_(torch.from_numpy(values))
optimizer = torch.optim.SGD(net.parameters(), lr=model.learning_rate)

images, labels = map(torch.from_numpy, common.samples("train"))
test_images, test_labels = map(torch.from_numpy, common.samples("t10k"))
labels = labels.long()
targets = F.one_hot(labels, 10).float() if model.loss == "mse" else labels
loss_of = F.mse_loss if model.loss == "mse" else F.cross_entropy


def step(indices):
    indices = torch.from_numpy(indices)
    optimizer.zero_grad()
    loss = loss_of(net(images[indices]), targets[indices])
    loss.backward()
    optimizer.step()
    return loss.detach()


def evaluate():
    with torch.no_grad():
        answers = torch.cat([net(part).argmax(1) for part in test_images.split(1000)])
    return (answers == test_labels).float().mean().item()


common.drive(
    "torch", options, step, lambda: None, evaluate,
    version=torch.__version__, device=f"CPU, {common.CORES} threads",
)  # fmt: skip
