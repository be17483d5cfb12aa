"""The networks of `nn::models`, written in PyTorch: each has the same layers, and its tensors the same names."""

from torch import cat, nn


def conv3(inputs, outputs, stride=1):
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)


def conv_norm_relu(inputs, outputs):
    return [conv3(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU()]


def pair(inputs, outputs):
    return conv_norm_relu(inputs, outputs) + conv_norm_relu(outputs, outputs)


def tutorial():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(676, 32), nn.ReLU(), nn.Linear(32, 10),
    )


def larger():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10),
    )


def lenet5(channels, classes):
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes),
    )


def compact(channels, classes):
    return nn.Sequential(
        *conv_norm_relu(channels, 32), nn.MaxPool2d(2), *conv_norm_relu(32, 64), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 7 * 7, classes),
    )


def vgg(channels, classes, dropout):
    return nn.Sequential(
        *pair(channels, 32), nn.MaxPool2d(2), *pair(32, 64), nn.MaxPool2d(2), *pair(64, 128),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(128, classes),
    )


def depthwise(channels, classes):
    layers = conv_norm_relu(channels, 32)
    for inputs, outputs, stride in [(32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1)]:
        layers += [
            nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs), nn.ReLU(),
            nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
        ]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, classes)]
    return nn.Sequential(*layers)


def autoencoder(channels):
    def up(inputs, outputs):
        return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)

    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
        up(32, 16), nn.ReLU(), up(16, channels), nn.Sigmoid(),
    )


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.conv1 = conv3(inputs, outputs, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = conv3(outputs, outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride == 2:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class ResNet(nn.Module):
    """For `stages` stages of `blocks` blocks, the first of `width` channels."""

    def __init__(self, channels, width, stages, blocks, classes):
        super().__init__()
        self.conv1 = conv3(channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for stage in range(stages):
            outputs = width << stage
            layers = [BasicBlock(inputs if block == 0 else outputs, outputs) for block in range(blocks)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
            inputs = outputs
        self.stages = stages
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        for stage in range(self.stages):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        return self.fc(x.mean((2, 3)))


class UNet(nn.Module):
    def __init__(self, channels, width, classes):
        super().__init__()
        block = lambda inputs, outputs: nn.Sequential(*pair(inputs, outputs))
        up = lambda inputs, outputs: nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
        self.down = nn.ModuleList([block(channels, width), block(width, 2 * width)])
        self.bottom = block(2 * width, 4 * width)
        self.up = nn.ModuleList([up(4 * width, 2 * width), up(2 * width, width)])
        self.merge = nn.ModuleList([block(4 * width, 2 * width), block(2 * width, width)])
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        pool = nn.MaxPool2d(2)
        first = self.down[0](x)
        second = self.down[1](pool(first))
        x = self.bottom(pool(second))
        for up, merge, skipped in zip(self.up, self.merge, [second, first]):
            x = merge(cat([skipped, up(x)], 1))
        return self.head(x)


class SqueezeExcitation(nn.Module):
    def __init__(self, channels, squeezed):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        hidden = self.fc1(x.mean((2, 3), keepdim=True)).relu()
        return x * self.fc2(hidden).sigmoid()


def layers():
    """For images (3, 16, 16): layers that no network of `nn::models` has."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU(), SqueezeExcitation(8, 4),
        nn.Conv2d(8, 16, 3, 2, 1, groups=4), nn.LayerNorm([16, 8, 8]), nn.GELU(),
        nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(16, 8, 3, padding=2, dilation=2),
        nn.LeakyReLU(0.125), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(3), nn.Flatten(),
        nn.Linear(72, 16), nn.LayerNorm(16), nn.Softmax(1), nn.Linear(16, 10),
    )


def models():
    """Every network at the size that the table of `nn::models` gives."""
    return {
        "tutorial": tutorial(),
        "lenet5": lenet5(1, 10),
        "compact": compact(1, 10),
        "larger": larger(),
        "vgg": vgg(1, 10, 0.3),
        "ResNet::eight": ResNet(3, 16, 3, 1, 10),
        "ResNet::twenty": ResNet(3, 16, 3, 3, 10),
        "ResNet::eighteen": ResNet(3, 64, 4, 2, 10),
        "depthwise": depthwise(3, 10),
        "autoencoder": autoencoder(1),
        "UNet": UNet(3, 16, 2),
    }
