"""The recipes on CIFAR-10 from end to end, on a few made-up images and with small networks."""

import json

import pytest
import torch

from nnc import models
from nnc.data.sets import Dataset, Split
from nnc.files import read_arrays
from nnc_book import records
from nnc_book.recipes import get, original, students, vgg
from nnc_book.recipes.running import run

SMALL = (4, "pool", 4, "pool", 4, "pool", 4, "pool", 8, "pool")


@pytest.fixture
def data():
    def split(count, seed):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(count) % 10
        noise = torch.randint(0, 60, (count, 3, 32, 32), generator=generator)
        return Split((noise + 19 * labels[:, None, None, None]).byte(), labels)

    return Dataset("made-up", tuple("abcdefghij"), split(200, 0), split(100, 1))


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(vgg, "vgg13", lambda: models.VGG(SMALL))
    monkeypatch.setattr(students, "mini_vgg", lambda: models.VGG(SMALL))
    monkeypatch.setattr(original, "mini_vgg", lambda: models.VGG(SMALL))


def train(name, data, folder, seed=0, **settings):
    recipe = get(name)
    changed = recipe.settings.__class__(
        **{**vars(recipe.settings), "validation": 40, "batch_size": 16, **settings}
    )
    return run(recipe, changed, data, seed, folder, progress=False)["run"]


ALL = [recipe.name for recipe in (*students.RECIPES, *original.RECIPES)]


@pytest.mark.parametrize("name", ALL)
def test_a_student_is_trained_stored_and_scored(name, data, tmp_path):
    done = train(name, data, tmp_path / "run", epochs=2)
    metrics = done["metrics"]
    assert {"test_accuracy", "teacher_accuracy", "agreement", "parameters"} <= metrics.keys()
    assert metrics["teacher_accuracy"] > 0.2
    assert len(done["history"]["train"]) == 2
    assert done["file"] == (None if name == "mini-vgg-kd-unlabelled" else "network.sws")
    assert done["extras"] == ["answers.npz"]
    assert train(name, data, tmp_path / "other", epochs=2, seed=1)["file"] is None


def test_the_teachers_record_keeps_answers_and_pictures_but_not_the_network(data, tmp_path):
    done = train("vgg13", data, tmp_path / "run", epochs=20)
    assert done["file"] is None
    assert len(done["sha256"]) == 64
    kept = read_arrays(tmp_path / "run" / done["extras"][0])
    assert kept["logits"].shape == (100, 10)
    wrong = int((kept["logits"].argmax(1) != kept["labels"]).sum())
    assert kept["thumbnails"].shape == (20 + min(wrong, 4), 3, 32, 32)
    assert (kept["thumbnails"] == data.test.images[kept["chosen"]].numpy()).all()


def test_a_teacher_is_asked_once_for_all_students(data, tmp_path):
    train("mini-vgg-kd", data, tmp_path / "a", epochs=1)
    kept = sorted(tmp_path.glob("runs/vgg13/made-up/seed-0/views-160/*"))
    times = [path.stat().st_mtime_ns for path in kept]
    train("mini-vgg-kd-unlabelled", data, tmp_path / "b", epochs=1, seed=1)
    assert len(kept) == 5
    assert [path.stat().st_mtime_ns for path in kept] == times


def test_the_unlabelled_student_reads_no_label(data, tmp_path):
    # The teacher is there before the labels are gone.
    plain = train("mini-vgg-kd-unlabelled", data, tmp_path / "a", epochs=1)
    loss = plain["history"]["train"][0]["loss"]
    seen = []

    class Spy(students.Distillation):
        def __call__(self, logits, batch):
            seen.append(batch.labels)
            return super().__call__(logits, batch._replace(labels=None))

    original = students.Distillation
    students.Distillation = Spy
    try:
        spied = train("mini-vgg-kd-unlabelled", data, tmp_path / "b", epochs=1)
    finally:
        students.Distillation = original
    assert seen
    assert spied["history"]["train"][0]["loss"] == loss


def test_a_share_of_the_images(data, tmp_path):
    train("mini-vgg-kd", data, tmp_path / "run", epochs=1, share=0.5)
    result = json.loads((tmp_path / "run" / records.RESULT).read_text())
    assert result["dataset"]["train"] == 80
