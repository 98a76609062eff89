"""Recipes that end in a small file, from end to end: embedded images, few epochs."""

import dataclasses
import json

import pytest
import torch

from nnc import data, models, prunable_weights, storage, training
from nnc.data import Dataset, Split, load
from nnc_book import records
from nnc_book.recipes import (
    digits,
    get,
    magnitude,
    mini_vgg_small,
    small,
    students,
    vgg,
)
from nnc_book.recipes.job import Job
from nnc_book.recipes.running import run
from nnc_book.recipes.task import Task

SMALL = (4, "pool", 4, "pool", 4, "pool", 4, "pool", 8, "pool")
SHORT = {
    "validation": 1000,
    "dense_epochs": 3,
    "cluster_epochs": 3,
    "settle_epochs": 1,
    "mixture_learning_rate": 3e-3,
    "prune_epochs": 4,
    "frozen_epochs": 1,
    "views": 2,
    # Weights have no time to form clusters here: narrow components, most weights zero.
    "tau": 1e-3,
    "sigma": 0.005,
    "mean_range": 0.2,
    "pi_0": 0.9,
    "target_sparsity": 0.8,
}


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    teacher = digits.Teacher(epochs=1, validation=1000)
    monkeypatch.setattr(digits, "Teacher", lambda validation: teacher)


def train(name, folder, seed=0, dataset=None, **changes):
    recipe = get(name)
    known = {field.name for field in dataclasses.fields(recipe.settings)}
    chosen = {key: value for key, value in (SHORT | changes).items() if key in known}
    settings = dataclasses.replace(recipe.settings, **chosen)
    return run(recipe, settings, dataset or load("mnist-5k"), seed, folder, progress=False)["run"]


def stages_of(name):
    shrinking = {"prune"} if "magnitude" in name else {"cluster"}
    settles = isinstance(get(name).settings, small.Settling)
    return {"dense", *shrinking, *(["settle"] if settles else []), "frozen"}


LENETS = [
    r.name
    for r in digits.RECIPES
    if isinstance(r.settings, small.Settings | digits.Dense)
    and not isinstance(r.settings, digits.Coarse)
]


@pytest.mark.parametrize("name", LENETS)
def test_a_lenet_is_made_small_and_read_back(name, tmp_path):
    done = train(name, tmp_path / "run")
    metrics = done["metrics"]
    assert metrics["file_bytes"] == (tmp_path / "run" / "network.sws").stat().st_size
    assert done["history"].keys() == stages_of(name)
    assert 0.3 < metrics["sparsity"] < 1
    assert metrics["dense_accuracy"] > 0.5
    model = storage.load(tmp_path / "run" / "network.sws").load_into(get(name).model())
    assert training.evaluate(model, load("mnist-5k").test) == metrics["test_accuracy"]
    assert done["extras"] == (["film.npz"] if name == "lenet300-sws" else [])


def test_recipes_share_the_dense_network(tmp_path):
    train("lenet300-sws", tmp_path / "a")
    kept = list(tmp_path.glob("runs/dense-*/*/seed-0/dense.checkpoint"))
    times = [path.stat().st_mtime_ns for path in kept]
    train("lenet300-magnitude", tmp_path / "b")
    assert len(kept) == 1
    assert [path.stat().st_mtime_ns for path in kept] == times


def test_a_taught_network_hears_the_teacher_on_the_view_it_sees(tmp_path):
    settings = dataclasses.replace(get("lenet300-kd-sws").settings, validation=1000, views=2)
    job = Job(load("mnist-5k"), 0, tmp_path, progress=False)
    task = digits.task_of(settings, job, models.LeNet300100)
    teacher, _ = digits.teach(digits.Teacher(1000), job.of(digits.TEACHER, 0))
    index = torch.arange(20)
    images = task.views(1)[index]
    assert not torch.equal(images, task.training.images[index])
    batch = training.Batch(data.as_input(images), task.training.labels[index], index, epoch=3)
    with torch.no_grad():
        said = teacher.eval()(batch.images)
    assert torch.allclose(task.loss.teacher(batch), said, atol=0.01)


def test_quantisation_alone_at_four_widths(tmp_path):
    done = train("lenet300-quantised", tmp_path / "run")
    metrics = done["metrics"]
    sizes = [metrics[f"file_bytes_{bits}"] for bits in (8, 4, 3, 2)]
    assert sizes == sorted(sizes, reverse=True)
    assert metrics["file_bytes"] == sizes[0]
    assert {f"frozen_{bits}" for bits in (8, 4, 3, 2)} < done["history"].keys()
    assert done["file"] == "network-8.sws"  # of seed 0 alone: others keep the SHA-256
    assert train("lenet300-quantised", tmp_path / "run") == done  # finished: nothing is run again


def test_gradual_pruning_reaches_its_target_and_stays():
    settings = magnitude.Magnitude(prune_epochs=10, prune_ramp=0.5, target_sparsity=0.9)
    shares = [magnitude.sparsity_after(settings, epoch) for epoch in range(11)]
    assert shares[0] == 0
    assert shares[1] == pytest.approx(0.9 * (1 - 0.8**3))
    assert shares[5:] == [pytest.approx(0.9)] * 6
    assert shares == sorted(shares)


def test_pruning_takes_the_smallest_of_all_layers(tmp_path):
    torch.manual_seed(0)
    train_split = load("mnist-5k").train.take(torch.arange(256))
    task = Task(models.LeNet300100, train_split, train_split.take(torch.arange(50)))
    settings = magnitude.Magnitude(
        prune_epochs=2, prune_ramp=0.5, target_sparsity=0.9, prune_learning_rate=1e-9, levels=1000
    )
    job = Job(load("mnist-5k"), 0, tmp_path, progress=False)
    model = models.LeNet300100()
    before = torch.cat([w.detach().flatten() for w in prunable_weights(model).values()])
    pruned, history = magnitude.prune_gradually(settings, job, task, model)
    after = torch.cat([pruned.weight(name).flatten() for name in prunable_weights(model)])
    kept = before.abs() > before.abs().quantile(0.9)
    assert ((after != 0) == kept).double().mean() > 0.999
    assert history["prune"][-1]["would_be_sparsity"] == pytest.approx(0.9, abs=1e-4)


def test_settling_starts_from_what_clustering_pruned(tmp_path):
    done = train("lenet300-kd-sws", tmp_path / "run", settle_epochs=2, levels=5)
    clustered = done["history"]["cluster"][-1]["would_be_sparsity"]
    assert 0 < clustered <= min(row["would_be_sparsity"] for row in done["history"]["settle"])
    codebooks = storage.load(tmp_path / "run" / "network.sws").codebooks
    weights = [codebooks[name] for name in prunable_weights(models.LeNet300100())]
    assert [len(values) for values in weights] == [5, 5, 5]  # each layer has values of its own
    assert len({float(value) for values in weights for value in values}) == 13  # zero is shared


@pytest.fixture
def photos(monkeypatch):
    monkeypatch.setattr(vgg, "vgg13", lambda: models.VGG(SMALL))
    for module in (students, mini_vgg_small):
        monkeypatch.setattr(module, "mini_vgg", lambda: models.VGG(SMALL))
    monkeypatch.setattr(
        students,
        "settings_of",
        lambda name: dataclasses.replace(
            get(name).settings, validation=40, batch_size=16, epochs=2
        ),
    )

    def split(count, seed):
        labels = torch.arange(count) % 10
        noise = torch.randint(
            0, 60, (count, 3, 32, 32), generator=torch.Generator().manual_seed(seed)
        )
        return Split((noise + 19 * labels[:, None, None, None]).byte(), labels)

    return Dataset("made-up", tuple("abcdefghij"), split(200, 0), split(100, 1))


@pytest.mark.parametrize("name", [recipe.name for recipe in mini_vgg_small.RECIPES])
def test_a_student_is_made_small(name, photos, tmp_path):
    done = train(name, tmp_path / "run", dataset=photos, batch_size=16, validation=40)
    metrics = done["metrics"]
    assert done["history"].keys() == stages_of(name) - {"dense"}
    stored = storage.load(tmp_path / "run" / "network.sws").load_into(models.VGG(SMALL))
    assert training.evaluate(stored, photos.test) == metrics["test_accuracy"]
    result = json.loads((tmp_path / "run" / records.RESULT).read_text())
    assert result["dataset"]["train"] == 160


def test_statistics_are_taken_anew_where_there_are_any(photos):
    task = Task(lambda: models.VGG(SMALL), photos.train, photos.test)
    model = task.build()
    norm = next(m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d))
    task.with_statistics(model)
    assert not torch.equal(norm.running_mean, torch.zeros(4))
