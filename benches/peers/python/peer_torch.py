"""PyTorch, eager, on the CPU."""

import sys
from pathlib import Path

import common
import torch
import torch.nn.functional as F

sys.path.append(str(Path(__file__).resolve().parents[3] / "scripts"))
import golden_models as networks  # noqa: E402, after the line above

options = common.parse_options()
model = common.MODELS[options.model]
torch.set_num_threads(common.CORES)
torch.set_num_interop_threads(1)
torch.manual_seed(options.seed)

NETWORKS = {
    "tutorial": networks.tutorial,
    "larger": networks.larger,
    "lenet5": lambda: networks.lenet5(1, 10),
    "resnet8": lambda: networks.ResNet(1, 16, 3, 1, 10),
    "resnet20": lambda: networks.ResNet(1, 16, 3, 3, 10),
}
net = NETWORKS[options.model]()
if model.weights:
    initial = common.initial_weights(model, options.seed)
    with torch.no_grad():
        for parameter, values in zip(net.parameters(), initial, strict=True):
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
    net.eval()
    with torch.no_grad():
        answers = torch.cat([net(part).argmax(1) for part in test_images.split(1000)])
    net.train()
    return (answers == test_labels).float().mean().item()


common.drive(
    "torch", options, step, lambda: None, evaluate,
    version=torch.__version__, device=f"CPU, {common.CORES} threads",
)  # fmt: skip
