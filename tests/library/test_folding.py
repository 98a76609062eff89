import torch
from batch_norms import randomised

from nnc.models import mini_vgg
from nnc.pruning.folding import fold_batch_norm


def close(one, other, inputs):
    with torch.no_grad():
        torch.testing.assert_close(one(inputs), other.eval()(inputs), rtol=1e-4, atol=1e-4)


def test_batch_norm_becomes_a_scale_and_a_shift():
    torch.manual_seed(0)
    model, images = randomised(mini_vgg()), torch.rand(3, 3, 32, 32)
    folded = fold_batch_norm(model)
    close(folded, model, images)
    norm = folded.features[1]
    assert (norm.running_mean == 0).all()
    assert (norm.running_var == 1 - norm.eps).all()
    assert (folded.features[0].bias == 0).all()
    assert (model.features[1].running_mean != 0).all()  # the given model is as it was
    close(fold_batch_norm(folded), model, images)
