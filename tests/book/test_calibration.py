import math

import pytest
import torch

from nnc_book.calibration import reliability


def logits_of(*probabilities):
    return torch.tensor([[math.log(p), math.log(1 - p)] for p in probabilities])


def test_by_hand():
    # Confidences 0.6, 0.9 and 0.95 (for class 1), right, wrong and right: bins of a half.
    found = reliability(logits_of(0.6, 0.9, 0.05), torch.tensor([0, 1, 1]), bins=2)
    assert found.count.tolist() == [0, 3]
    assert float(found.confidence[1]) == pytest.approx((0.6 + 0.9 + 0.95) / 3)
    assert float(found.accuracy[1]) == pytest.approx(2 / 3)
    assert found.error() == pytest.approx((0.6 + 0.9 + 0.95 - 2) / 3)
    assert math.isnan(found.accuracy[0])


def test_bins_add_up():
    found = reliability(logits_of(0.55, 0.85, 0.95), torch.tensor([0, 1, 0]), bins=10)
    assert found.count.tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 1, 1]
    assert found.error() == pytest.approx((0.45 + 0.85 + 0.05) / 3)


def test_certain_and_right_is_calibrated():
    assert reliability(torch.tensor([[1e4, -1e4]]), torch.tensor([0])).error() == 0


@pytest.mark.parametrize(
    ("logits", "labels", "bins"),
    [
        (torch.zeros(2), torch.zeros(2, dtype=torch.int64), 5),
        (torch.zeros(2, 3), torch.zeros(3, dtype=torch.int64), 5),
        (torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), 5),
        (torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64), 0),
    ],
)
def test_bad_input_is_refused(logits, labels, bins):
    with pytest.raises(ValueError, match="has shape|bins is"):
        reliability(logits, labels, bins)
