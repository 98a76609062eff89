import pytest
import safetensors.torch
import torch
from torch import nn

import nnc
from nnc.data import Split
from nnc_book import teaching
from nnc_book.teaching import Views, fingerprint, teacher_logits


def split(count=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8, generator=generator)
    return Split(images, torch.arange(count) % 3)


class Net(nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.linear = nn.Linear(64, 3)

    def forward(self, images):
        return self.linear(images.flatten(1))


def test_views_repeat_and_differ():
    views = Views(split(), 3, crop=2, flip=True)
    assert torch.equal(views(0), views(3))
    assert not torch.equal(views(0), views(1))
    assert not torch.equal(views(0), Views(split(), 3, crop=2, flip=True, seed=1)(0))


def test_a_view_without_augmentation_is_the_image():
    assert torch.equal(Views(split(), 1)(5), split().images)


@pytest.mark.parametrize("count", [0, -1, 1.5])
def test_a_schedule_has_at_least_one_view(count):
    with pytest.raises(ValueError, match=f"count is {count}"):
        Views(split(), count)


def test_the_store_is_what_the_teacher_says_of_each_view(tmp_path):
    teacher, views = Net(), Views(split(), 2, crop=2, flip=True)
    stored = teacher_logits(teacher, views, tmp_path, progress=False)
    assert stored.shape == (2, 6, 3)
    assert stored.dtype == torch.float16
    for view in range(2):
        said = nnc.predict(teacher, Split(views(view), views.split.labels))
        torch.testing.assert_close(stored[view].float(), said, rtol=1e-3, atol=1e-3)


def test_a_stopped_store_goes_on_and_reads_what_is_there(tmp_path, monkeypatch):
    teacher, views = Net(), Views(split(), 3, crop=1)
    first = teacher_logits(teacher, views, tmp_path, progress=False)
    (tmp_path / "view-01.safetensors").unlink()
    asked = []
    predict = teaching.predict

    def counting(*given, **named):
        asked.append(1)
        return predict(*given, **named)

    monkeypatch.setattr(teaching, "predict", counting)
    assert torch.equal(teacher_logits(teacher, views, tmp_path, progress=False), first)
    assert asked == [1]


@pytest.mark.parametrize(
    ("teacher", "views"),
    [
        (Net(1), Views(split(), 2, crop=1)),
        (Net(), Views(split(seed=1), 2, crop=1)),
        (Net(), Views(split(), 2, crop=2)),
        (Net(), Views(split(), 2, crop=1, flip=True)),
        (Net(), Views(split(), 2, crop=1, seed=1)),
    ],
    ids=["teacher", "images", "crop", "flip", "seed"],
)
def test_a_stale_store_is_refused(tmp_path, teacher, views):
    teacher_logits(Net(), Views(split(), 2, crop=1), tmp_path, progress=False)
    with pytest.raises(ValueError, match="another teacher, other images or another schedule"):
        teacher_logits(teacher, views, tmp_path, progress=False)


def test_a_damaged_store_is_refused(tmp_path):
    teacher_logits(Net(), Views(split(), 1), tmp_path, progress=False)
    path = tmp_path / "view-00.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match="cannot be read"):
        teacher_logits(Net(), Views(split(), 1), tmp_path, progress=False)
    path.write_bytes(safetensors.torch.save({"logits": torch.zeros(6, 3)}))
    with pytest.raises(ValueError, match="another teacher"):
        teacher_logits(Net(), Views(split(), 1), tmp_path, progress=False)


def test_logits_beyond_float16_are_refused_and_nothing_is_written(tmp_path):
    teacher = Net()
    with torch.no_grad():
        teacher.linear.bias.fill_(1e6)
    with pytest.raises(ValueError, match="must be finite and within"):
        teacher_logits(teacher, Views(split(), 1), tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_the_fingerprint_sees_every_value_and_no_layout():
    one, other = Net(), Net()
    assert fingerprint(one) == fingerprint(other)
    with torch.no_grad():
        other.linear.weight[1, 2] += 1e-6
    assert fingerprint(one) != fingerprint(other)
    convolution = nn.Conv2d(2, 3, 3)
    before = fingerprint(convolution)
    assert fingerprint(convolution.to(memory_format=torch.channels_last)) == before


def test_a_student_learns_the_views_that_the_teacher_saw(tmp_path):
    data, student = split(60), Net(1)
    views = Views(data, 2, crop=1)
    said = teacher_logits(Net(2), views, tmp_path, progress=False)
    loss = nnc.Distillation(said, temperature=2.0, alpha=1.0)
    history = nnc.fit(
        student, data, loss, views=views, epochs=40, batch_size=20, progress=False,
        optimiser=torch.optim.Adam(student.parameters(), lr=1e-2),
    )  # fmt: skip
    assert history[-1]["loss"] < 0.01 * history[0]["loss"]
