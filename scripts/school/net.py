"""The net: nine convolutions, one grid of cells, an objectness and a box for each."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from scripts.school.crops import Crop

STRIDE = 8


class Residual(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.first = block(channels, channels, dilation=dilation)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


def block(given: int, made: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(given, made, 3, stride, dilation, dilation, bias=False), nn.BatchNorm2d(made), nn.ReLU(inplace=True)
    )


class Net(nn.Module):
    """BGR 0..255 in, (batch, 5, rows, columns) out: a logit, and the box's sides as exponents of strides."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            block(3, 16, 2), block(16, 32, 2), block(32, 64, 2), Residual(64, 1), Residual(64, 2), block(64, 64)
        )
        self.head = nn.Conv2d(64, 5, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        with torch.no_grad():
            self.head.bias.copy_(torch.tensor([-4.6, 0.2, 1.0, 0.2, 1.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body((x - 114.0) / 58.0))


class Exported(nn.Module):
    """What is shipped: (1, rows, columns, 3) uint8 in, YOLOv8's (1, 5, cells) out: centre, size, score."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor) -> Tensor:
        raw = self.net(picture.permute(0, 3, 1, 2).float())
        boxes = decode(raw)
        size = boxes[:, 2:] - boxes[:, :2]
        return torch.cat([boxes[:, :2] + size / 2, size, raw[:, :1].sigmoid()], dim=1).flatten(2)


def decode(raw: Tensor) -> Tensor:
    """(batch, 4, rows, columns): left, top, right, bottom in pixels."""
    rows, columns = raw.shape[2], raw.shape[3]
    y = (torch.arange(rows, device=raw.device).view(1, 1, -1, 1) + 0.5) * STRIDE
    x = (torch.arange(columns, device=raw.device).view(1, 1, 1, -1) + 0.5) * STRIDE
    sides = raw[:, 1:].clamp(max=4.0).exp() * STRIDE
    return torch.cat([x - sides[:, 0:1], y - sides[:, 1:2], x + sides[:, 2:3], y + sides[:, 3:4]], dim=1)


@dataclass(frozen=True)
class Batch:
    pictures: Tensor
    owner: Tensor
    """(batch, rows, columns, 4): the box that a cell shall give; nought where none."""
    positive: Tensor
    counted: Tensor
    """False where nobody knows."""


def batch(crops: list[Crop]) -> Batch:
    pictures = torch.stack([torch.from_numpy(crop.picture.copy()).permute(2, 0, 1) for crop in crops]).float()
    cells = crops[0].picture.shape[0] // STRIDE
    owner, positive = torch.zeros(len(crops), cells, cells, 4), torch.zeros(len(crops), cells, cells, dtype=torch.bool)
    counted = torch.ones(len(crops), cells, cells, dtype=torch.bool)
    at = (torch.arange(cells) + 0.5) * STRIDE
    for i, crop in enumerate(crops):
        for box in crop.unsure.tolist():
            counted[i][_inside(at, box, 0.0)] = False
        nearest = torch.full((cells, cells), math.inf)
        for box in crop.people.tolist():
            wide, high = box[2] - box[0], box[3] - box[1]
            dx = ((at - (box[0] + box[2]) / 2) / max(0.36 * wide, 4.5)).view(1, -1)
            dy = ((at - (box[1] + box[3]) / 2) / max(0.26 * high, 4.5)).view(-1, 1)
            apart = torch.maximum(dx.abs().expand(cells, cells), dy.abs().expand(cells, cells))
            mine = (apart <= 1.0) & (apart < nearest)
            nearest = torch.where(mine, apart, nearest)
            owner[i][mine] = torch.tensor(box)
            positive[i] |= mine
    return Batch(pictures, owner, positive, counted | positive)


def _inside(at: Tensor, box: list[float], margin: float) -> Tensor:
    x = (at >= box[0] - margin) & (at <= box[2] + margin)
    y = (at >= box[1] - margin) & (at <= box[3] + margin)
    return y.view(-1, 1) & x.view(1, -1)


def loss(raw: Tensor, lesson: Batch) -> Tensor:
    """The score learns how well its own box fits (a quality, not a yes); the box learns to fit."""
    boxes = decode(raw).permute(0, 2, 3, 1)
    fit, giou = _fit(boxes[lesson.positive], lesson.owner[lesson.positive])
    wanted = torch.zeros_like(raw[:, 0])
    wanted[lesson.positive] = fit.detach().clamp(min=0.1)
    logit = raw[:, 0]
    strength = (wanted - logit.sigmoid()).abs().pow(2)
    quality = strength * functional.binary_cross_entropy_with_logits(logit, wanted, reduction="none")
    many = lesson.positive.sum().clamp(min=1)
    return (quality[lesson.counted].sum() * 1.5 + (1.0 - giou).sum() * 1.0) / many


def _fit(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU of pairs."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    common = (high - low).clamp(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - common
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(1)
    iou = common / union.clamp(min=1e-6)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)


def follow(mean: Net, net: Net, keep: float) -> None:
    """The mean of the net's last states: steadier than any of them, and what is shipped."""
    with torch.no_grad():
        for old, new in zip(mean.state_dict().values(), net.state_dict().values(), strict=True):
            if old.dtype.is_floating_point:
                old.lerp_(new, 1 - keep)
            else:
                old.copy_(new)


def export(net: Net, path: Path) -> None:
    """ONNX with the preparation of the picture inside; any height and width that 8 divides."""
    net = net.eval()
    sample = torch.zeros(1, 160, 160, 3, dtype=torch.uint8)
    torch.onnx.export(
        Exported(net).eval(),
        (sample,),
        str(path),
        input_names=["picture"],
        output_names=["people"],
        opset_version=17,
        dynamic_axes={"picture": {1: "rows", 2: "columns"}, "people": {2: "cells"}},
        dynamo=False,
    )
