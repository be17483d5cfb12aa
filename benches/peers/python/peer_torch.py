"""PyTorch, eager, on the CPU."""

import common
import torch
import torch.nn.functional as F
from torch import nn

options = common.parse_options()
model = common.MODELS[options.model]
torch.set_num_threads(common.CORES)
torch.set_num_interop_threads(1)

torch.manual_seed(options.seed)


class Block(nn.Module):
    """A residual block, whose shortcut is projected where the channels change."""

    def __init__(self, inputs, outputs):
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.body = nn.Sequential(
            *conv_norm(inputs, outputs, 3, stride), nn.ReLU(), *conv_norm(outputs, outputs, 3, 1)
        )
        self.shortcut = nn.Sequential(*(conv_norm(inputs, outputs, 1, stride) if stride == 2 else []))

    def forward(self, x):
        return (self.body(x) + self.shortcut(x)).relu()


def conv_norm(inputs, outputs, kernel, stride):
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


def resnet(blocks):
    layers, inputs = [*conv_norm(1, 16, 3, 1), nn.ReLU()], 16
    for outputs in (16, 32, 64):
        for _ in range(blocks):
            layers.append(Block(inputs, outputs))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


NETWORKS = {
    "tutorial": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(676, 32), nn.ReLU(), nn.Linear(32, 10),
    ),
    "larger": lambda: nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10),
    ),
    "lenet5": lambda: nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    ),
    "resnet8": lambda: resnet(1),
    "resnet20": lambda: resnet(3),
}  # fmt: skip
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
