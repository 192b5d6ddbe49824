"""The shipped recipe of sweeps/fashion-resnet20.cfg in PyTorch, to compare what it learns: accuracy on Fashion-MNIST's test set.

    python peer_resnet20.py FOLDER [--epochs 12] [--seed 0]

Nothing is shared with kdsweep but the recipe: ResNet-20 with zero-padded shortcuts, images standardised by the training set's mean and
deviation, random crops from a border of 2 and mirror images, batches of 128, Nesterov momentum 0.9, weight decay 5e-4 on weights alone,
learning rate 0.1 with one epoch of warm-up, then cosine to 0.
"""

import argparse
import gzip
import math
import pathlib
import time

import torch
import torch.nn.functional as F
from torch import nn


def read_idx(folder, name):
    path = pathlib.Path(folder) / name
    data = path.read_bytes() if path.exists() else gzip.decompress(path.with_name(name + ".gz").read_bytes())
    n_dims = data[3]
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(n_dims)]
    return torch.frombuffer(bytearray(data[4 + 4 * n_dims :]), dtype=torch.uint8).reshape(shape)


class Block(nn.Module):
    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)
        self.stride, self.more = stride, n_out - n_in

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.stride > 1:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
        return F.relu(x + y)


def resnet20(channels, n_classes):
    layers = [nn.Conv2d(channels, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    n_in = 16
    for stage in range(3):
        for block in range(3):
            layers.append(Block(n_in, 16 << stage, 2 if stage > 0 and block == 0 else 1))
            n_in = 16 << stage
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, n_classes)]
    net = nn.Sequential(*layers)
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.normal_(module.weight, 0, math.sqrt(2 / module.weight[0].numel()))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net


def augment(x, generator):
    n, _, height, width = x.shape
    padded = F.pad(x, (2, 2, 2, 2))
    shift = torch.randint(0, 5, (n, 2), generator=generator)
    flip = torch.randint(0, 2, (n,), generator=generator).bool()
    rows = shift[:, :1] + torch.arange(height)
    columns = shift[:, 1:] + torch.arange(width)
    columns = torch.where(flip[:, None], columns.flip(1), columns)
    return padded[torch.arange(n)[:, None, None], 0, rows[:, :, None], columns[:, None, :]][:, None]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    generator = torch.Generator().manual_seed(arguments.seed)

    train_x = read_idx(arguments.folder, "train-images-idx3-ubyte").float()[:, None] / 255
    test_x = read_idx(arguments.folder, "t10k-images-idx3-ubyte").float()[:, None] / 255
    train_y = read_idx(arguments.folder, "train-labels-idx1-ubyte").long()
    test_y = read_idx(arguments.folder, "t10k-labels-idx1-ubyte").long()
    mean, deviation = train_x.mean(), train_x.std(unbiased=False)
    train_x, test_x = (train_x - mean) / deviation, (test_x - mean) / deviation

    net = resnet20(1, 10).to(memory_format=torch.channels_last)
    decayed = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() == 1]
    groups = [{"params": decayed, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0}]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)
    n_steps = math.ceil(len(train_x) / 128)
    start = time.time()
    for epoch in range(arguments.epochs):
        net.train()
        order = torch.randperm(len(train_x), generator=generator)
        for step in range(n_steps):
            at = epoch + step / n_steps
            lr = 0.1 * (step + 1) / n_steps if epoch < 1 else 0.05 * (1 + math.cos(math.pi * (at - 1) / (arguments.epochs - 1)))
            for group in optimizer.param_groups:
                group["lr"] = lr
            rows = order[128 * step : 128 * (step + 1)]
            x = augment(train_x[rows], generator).contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(net(x), train_y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            right = sum((net(x).argmax(1) == y).sum().item() for x, y in zip(test_x.split(500), test_y.split(500)))
        print(f"epoch {epoch + 1}: loss {loss.item():.4f}, test accuracy {right / len(test_y):.4f}, {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
