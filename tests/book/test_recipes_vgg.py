"""The recipes on CIFAR-10 from end to end, on a few made-up images and with small networks."""

import dataclasses
import json

import pytest
import torch

from nnc import models, storage, training
from nnc.data.sets import Dataset, Split
from nnc.pruning import Quantised
from nnc_book import records
from nnc_book.arrays import read_arrays
from nnc_book.recipes import get, stages, vgg
from nnc_book.recipes.job import Job
from nnc_book.recipes.running import run

SHORT = {"validation": 40, "batch_size": 16}
SMALL = (4, "pool", 4, "pool", 4, "pool", 4, "pool", 8, "pool")


@pytest.fixture
def data():
    def split(count, seed):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(count) % 10
        noise = torch.randint(0, 60, (count, 3, 32, 32), generator=generator)
        return Split((noise + 19 * labels[:, None, None, None]).byte(), labels)

    return Dataset("made-up", tuple("abcdefghij"), split(200, 0), split(100, 1))


def small():
    return models.VGG(SMALL)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(vgg, "vgg13", small)
    for name, settings in vgg.STUDENTS.items():
        monkeypatch.setitem(vgg.STUDENTS, name, settings | SHORT | {"epochs": 2})


def train(name, data, folder, seed=0, **settings):
    recipe = dataclasses.replace(get(name), build=small)
    return run(recipe, recipe.settings | SHORT | settings, data, seed, folder, progress=False)[
        "run"
    ]


STUDENTS = [*vgg.STUDENTS, "mini-vgg-original-recipe", "mini-vgg-kd-original-recipe"]


@pytest.mark.parametrize("name", STUDENTS)
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


def test_the_unlabelled_student_reads_no_label(data, monkeypatch, tmp_path):
    # The teacher is there before the labels are gone.
    plain = train("mini-vgg-kd-unlabelled", data, tmp_path / "a", epochs=1)
    loss = plain["history"]["train"][0]["loss"]
    seen = []

    class Spy(vgg.Distillation):
        def __call__(self, logits, batch):
            seen.append(batch.labels)
            return super().__call__(logits, batch._replace(labels=None))

    monkeypatch.setattr(vgg, "Distillation", Spy)
    spied = train("mini-vgg-kd-unlabelled", data, tmp_path / "b", epochs=1)
    assert seen
    assert spied["history"]["train"][0]["loss"] == loss


def test_a_share_of_the_images(data, tmp_path):
    train("mini-vgg-kd", data, tmp_path / "run", epochs=1, share=0.5)
    result = json.loads((tmp_path / "run" / records.RESULT).read_text())
    assert result["dataset"]["train"] == 80


@pytest.mark.parametrize("name", ["mini-vgg-sws", "mini-vgg-kd-sws", "mini-vgg-magnitude"])
def test_a_student_is_made_small(name, data, tmp_path):
    # Weights have no time to form clusters here: narrow components, most weights zero.
    changes = {"tau": 1e-3, "sigma": 0.005, "mean_range": 0.2, "pi_0": 0.9, "target_sparsity": 0.8}
    known = {k: v for k, v in changes.items() if k in get(name).settings}
    done = train(name, data, tmp_path / "run", **known, frozen_epochs=1)
    assert done["history"].keys() == {"prune" if "magnitude" in name else "cluster", "frozen"}
    stored = storage.load(tmp_path / "run" / "network.sws").load_into(small())
    assert training.evaluate(stored, data.test) == done["metrics"]["test_accuracy"]
    result = json.loads((tmp_path / "run" / records.RESULT).read_text())
    assert result["dataset"]["train"] == 160


def test_statistics_are_taken_anew_where_there_are_any(data, tmp_path):
    job = Job(small, {}, data, 0, tmp_path)
    quantised = Quantised.from_state_dict(small().state_dict(), ())
    model = stages.rebuilt(job, {"train": data.train}, quantised)
    norm = next(m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert not torch.equal(norm.running_mean, torch.zeros(4))
