"""Augmentation against a slow loop over images that uses the same drawn places."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from nnc_book.augment import random_crop, random_flip, random_shift


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def offsets(count: int, largest: int, seed: int) -> tuple[Tensor, Tensor]:
    """What the docstrings promise to be drawn: N vertical offsets, then N horizontal ones."""
    source = generator(seed)
    top = torch.randint(0, 2 * largest + 1, (count,), generator=source)
    left = torch.randint(0, 2 * largest + 1, (count,), generator=source)
    return top, left


def slow(images: Tensor, margin: int, seed: int, mode: str) -> Tensor:
    top, left = offsets(len(images), margin, seed)
    height, width = images.shape[-2:]
    result = torch.empty_like(images)
    for n, image in enumerate(images):
        # torch's own padding by reflection knows floating point only.
        padded = functional.pad(image[None].double(), (margin,) * 4, mode=mode)[0]
        window = padded[:, top[n] : top[n] + height, left[n] : left[n] + width]
        result[n] = window.to(images.dtype)
    return result


batches = st.tuples(
    st.sampled_from([1, 2, 5]), st.sampled_from([1, 3]), st.integers(2, 6), st.integers(2, 6)
)
types = st.sampled_from([torch.uint8, torch.float32, torch.float64])


@given(shape=batches, dtype=types, seed=st.integers(0, 99), data=st.data())
def test_crop_and_shift_equal_a_loop_over_images(
    shape: tuple[int, ...], dtype: torch.dtype, seed: int, data: st.DataObject
) -> None:
    margin = data.draw(st.integers(0, min(shape[-2:]) - 1))
    images = torch.randint(256, shape, generator=generator(seed)).to(dtype)
    for function, mode in ((random_crop, "reflect"), (random_shift, "constant")):
        result = function(images, margin, generator(seed))
        assert result.dtype == dtype
        assert torch.equal(result, slow(images, margin, seed, mode))


@given(shape=batches, dtype=types, seed=st.integers(0, 99))
def test_flip_equals_a_loop_over_images(
    shape: tuple[int, ...], dtype: torch.dtype, seed: int
) -> None:
    images = torch.randint(256, shape, generator=generator(seed)).to(dtype)
    draws = torch.rand(len(images), generator=generator(seed))
    expected = [
        image.flip(-1) if draw < 0.5 else image for image, draw in zip(images, draws, strict=True)
    ]
    result = random_flip(images, generator(seed))
    assert result.dtype == dtype
    assert torch.equal(result, torch.stack(expected))


def test_by_hand() -> None:
    """Drawn offsets stay within the margin and reach its ends; here every window is listed."""
    image = torch.tensor([[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]], dtype=torch.uint8)
    windows = {
        (0, 0): ([5, 4, 5, 2, 1, 2, 5, 4, 5], [0, 0, 0, 0, 1, 2, 0, 4, 5]),
        (1, 1): ([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (2, 1): ([4, 5, 6, 7, 8, 9, 4, 5, 6], [4, 5, 6, 7, 8, 9, 0, 0, 0]),
        (1, 2): ([2, 3, 2, 5, 6, 5, 8, 9, 8], [2, 3, 0, 5, 6, 0, 8, 9, 0]),
    }
    seen = set()
    for seed in range(60):
        top, left = (int(offset) for offset in offsets(1, 1, seed))
        seen.add((top, left))
        if (top, left) in windows:
            reflected, zeros = windows[top, left]
            assert random_crop(image, 1, generator(seed)).flatten().tolist() == reflected
            assert random_shift(image, 1, generator(seed)).flatten().tolist() == zeros
    assert seen == {(top, left) for top in range(3) for left in range(3)}


def test_flip_mirrors_about_half() -> None:
    images = torch.arange(2, dtype=torch.uint8).expand(4000, 1, 1, 2)
    mirrored = random_flip(images, generator())[:, 0, 0, 0].double().mean()
    assert abs(mirrored - 0.5) < 5 * 0.5 / 4000**0.5


@pytest.mark.parametrize("count", [0, 1])
def test_tiny_batches_keep_shape_and_type(count: int) -> None:
    images = torch.ones((count, 3, 4, 5), dtype=torch.uint8)
    for result in (
        random_crop(images, 2, generator()),
        random_shift(images, 2, generator()),
        random_flip(images, generator()),
    ):
        assert result.shape == images.shape
        assert result.dtype == torch.uint8
        assert result.is_contiguous()


def test_the_given_images_and_the_global_generator_stay_untouched() -> None:
    images = torch.randint(256, (8, 1, 6, 6), generator=generator()).to(torch.uint8)
    before, state = images.clone(), torch.get_rng_state()
    for result in (
        random_crop(images, 0, generator()),
        random_shift(images, 0, generator()),
        random_flip(images, generator()),
    ):
        result.zero_()
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_views_that_are_not_contiguous() -> None:
    images = torch.randint(256, (4, 5, 6, 3), generator=generator()).to(torch.uint8)
    images = images.permute(0, 3, 1, 2)
    assert torch.equal(
        random_crop(images, 2, generator()), random_crop(images.contiguous(), 2, generator())
    )


@pytest.mark.parametrize("margin", [-1, 4, 1.5])
def test_a_margin_out_of_range_is_named(margin: int) -> None:
    images = torch.zeros((1, 1, 4, 9), dtype=torch.uint8)
    with pytest.raises(ValueError, match=f"^padding is {margin}, must be a whole .* 0 to 3"):
        random_crop(images, margin, generator())
    with pytest.raises(ValueError, match=f"^pixels is {margin}, must be a whole .* 0 to 3"):
        random_shift(images, margin, generator())


def test_a_single_image_is_no_batch() -> None:
    with pytest.raises(
        ValueError, match=r"^images is .* of shape \(3, 4, 4\) on cpu, must be images"
    ):
        random_flip(torch.zeros(3, 4, 4), generator())
