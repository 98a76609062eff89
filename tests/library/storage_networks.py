"""Small networks for the tests of storage."""

import torch

import nnc


def network(shape=(6, 7), levels=5, sparsity=0.5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, levels, shape, generator=generator, dtype=torch.int32)
    codes[torch.rand(shape, generator=generator) < sparsity] = 0
    book = torch.cat([torch.zeros(1), torch.randn(levels - 1, generator=generator)])
    rest = {"bias": torch.randn(3, generator=generator), "steps": torch.tensor(7)}
    return nnc.Quantised({"layer.weight": codes}, {"layer.weight": book}, rest)


def chain(seed=0):
    """Three layers of which each reads the one before, a coded bias, and a batch norm's rest."""
    generator = torch.Generator().manual_seed(seed)
    codes, books = {}, {}
    for name, shape in (("a", (4, 2, 3, 3)), ("b", (5, 16)), ("c", (3, 5)), ("c.bias", (3,))):
        codes[name] = torch.randint(0, 4, shape, generator=generator, dtype=torch.int32)
        codes[name][torch.rand(shape, generator=generator) < 0.6] = 0
        books[name] = torch.tensor([0.0, -0.5, 0.25, 1.5])
    rest = {"norm.mean": torch.zeros(40), "norm.tracked": torch.tensor(12345), "x": torch.ones(())}
    return nnc.Quantised(codes, books, rest)


def same(one, other):
    """Equal in every code, entry and number, bit for bit."""
    pairs = [(getattr(one, part), getattr(other, part)) for part in ("codes", "codebooks", "rest")]
    return one.ties == other.ties and all(
        list(a) == list(b) and all(_bits(a[name]) == _bits(b[name]) for name in a) for a, b in pairs
    )


def _bits(tensor):
    tensor = tensor.detach().contiguous()
    data = tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    return tensor.dtype, tuple(tensor.shape), data
