"""Where the golden files are, and the images that networks are trained on."""

import gzip
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden"


def mnist():
    def idx(name, header):
        path = ROOT / "data" / "mnist" / f"{name}.gz"
        return np.frombuffer(gzip.open(path).read(), np.uint8, offset=header)

    images = idx("train-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28)
    return images.astype(np.float32) / np.float32(255), idx("train-labels-idx1-ubyte", 8)


def coloured(images):
    """(N, 1, 28, 28) as (N, 3, 32, 32): the image, its transpose and its mirror image, padded with zeros."""
    framed = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)))
    return np.concatenate([framed, framed.transpose(0, 1, 3, 2), framed[..., ::-1]], 1)
