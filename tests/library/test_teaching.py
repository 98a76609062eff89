import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import nnc
from nnc.training import Batch, Distillation


@given(epoch=st.integers(0, 7), index=st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_the_loss_finds_the_view_and_the_images(epoch, index):
    said = torch.arange(3 * 5 * 2).view(3, 5, 2).float()
    loss = Distillation(said, temperature=2.0, alpha=0.5)
    batch = Batch(torch.zeros(0), torch.zeros(len(index), dtype=torch.int64),
                  torch.tensor(index), epoch)  # fmt: skip
    assert torch.equal(loss.teacher(batch), said[epoch % 3][index])


def test_without_labels_none_is_read():
    batch = Batch(torch.zeros(0), torch.tensor([99, 99]), torch.tensor([1, 0]))
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    loss = Distillation(logits, temperature=2.0, alpha=1.0)
    expected = nnc.distillation_loss(logits, logits[[1, 0]], temperature=2.0, alpha=1.0)
    assert torch.equal(loss(logits, batch), expected)


@pytest.mark.parametrize("shape", [(3,), (0, 3), (1, 2, 3, 4)])
def test_teacher_logits_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="teacher_logits is .* of shape"):
        Distillation(torch.zeros(shape), temperature=2.0, alpha=0.5)
