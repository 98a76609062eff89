"""The recipes on CIFAR-10 from end to end, on a few made-up images and with small networks."""

import dataclasses
import json

import pytest
import torch

from nnc import models, storage, training
from nnc.data.sets import Dataset, Split
from nnc.pruning import Quantised
from nnc.training.loop import stream
from nnc_book import records, running
from nnc_book.arrays import read_arrays
from nnc_book.recipes import get, stages, vgg
from nnc_book.recipes.job import Job
from nnc_book.running import run
from nnc_book.teaching import fingerprint

# Few steps: nothing may diverge, and the average may not lag behind.
SHORT = {"validation": 40, "batch_size": 16, "learning_rate": 0.05, "averaging": 0.05}
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
    for name, (_, settings) in vgg.NETWORKS.items():
        epochs = 12 if name == "vgg13" else 2
        short = SHORT | {"epochs": epochs, "kept_epochs": [1]}
        monkeypatch.setitem(vgg.NETWORKS, name, (small, settings | short))


def train(name, data, folder, seed=0, **settings):
    recipe = dataclasses.replace(get(name), build=small)
    return run(recipe, recipe.settings | SHORT | settings, data, seed, folder, progress=False)[
        "run"
    ]


STORED = ["mini-vgg", "mini-vgg-kd", "mini-vgg-kd-unlabelled", "mini-vgg-kd-labelled-tenth"]
OTHERS = ["mini-vgg-tenth", "mini-vgg-smoothed", "mini-vgg-kd-original-recipe", "vgg11-kd"]


@pytest.mark.parametrize("name", STORED + OTHERS)
def test_a_student_is_trained_stored_and_scored(name, data, tmp_path):
    done = train(name, data, tmp_path / "run", epochs=2)
    metrics = done["metrics"]
    assert {"test_accuracy", "teacher_accuracy", "agreement", "parameters"} <= metrics.keys()
    if name in STORED:
        assert metrics["teacher_accuracy"] > 0.2
    assert len(done["history"]["train"]) == 2
    assert done["file"] == ("network.sws" if name in STORED else None)
    assert done["extras"] == ["answers.npz"]
    assert train(name, data, tmp_path / "other", epochs=2, seed=1)["file"] is None


def test_a_network_without_a_teacher(data, tmp_path):
    for name in ("vgg16", "mini-vgg-original-recipe"):
        metrics = train(name, data, tmp_path / name, epochs=2)["metrics"]
        assert "test_accuracy" in metrics
        assert "agreement" not in metrics


def test_a_chain_is_trained_from_its_first_network_on(data, tmp_path):
    train("mini-vgg-kd-chain", data, tmp_path / "run", epochs=2)
    kept = sorted(path.parts[-4] for path in tmp_path.glob("runs/*/made-up/seed-0/views-160"))
    assert kept == ["vgg11-kd", "vgg13-kd", "vgg16"]


def test_a_teacher_of_few_epochs_says_something_else(data, tmp_path):
    def accuracy(name, **settings):
        done = train(name, data, tmp_path / name, epochs=1, **settings)
        return done["metrics"]["teacher_accuracy"]

    assert accuracy("mini-vgg-kd-early", teacher_epoch=1) < accuracy("mini-vgg-kd")


def test_labels_that_are_not_known_change_nothing(data, tmp_path):
    known = torch.randperm(160, generator=stream(1)) < 16
    job = Job(small, get("mini-vgg-kd-labelled-tenth").settings | SHORT, data, 0, tmp_path)
    lesson = vgg.learnt(job)
    index = torch.arange(160)
    batch = training.Batch(torch.empty(0), lesson["train"].labels, index)
    logits = torch.randn(160, 10, generator=torch.Generator().manual_seed(0))
    other = torch.where(known, batch.labels, (batch.labels + 1) % 10)
    loss = lesson["loss"](logits, batch)
    assert loss == lesson["loss"](logits, batch._replace(labels=other))
    assert loss != lesson["loss"](logits, batch._replace(labels=(batch.labels + 1) % 10))
    assert torch.isfinite(lesson["loss"](logits[~known], training.Batch(
        torch.empty(0), batch.labels[~known], index[~known])))  # fmt: skip


def test_a_square_is_greyed_around_every_place():
    images = torch.zeros((2000, 3, 32, 32), dtype=torch.uint8)
    varied = vgg.vary(images, torch.Generator().manual_seed(0), crop=0, cutout=12)
    assert varied.unique().tolist() == [0, 128]
    holes = (varied[:, 0] == 128).sum(dim=(1, 2))
    assert holes.max() == 144
    assert holes.min() == 36
    assert (varied == varied[:, :1]).all()
    often = (varied[:, 0] == 128).double().mean(dim=0)
    assert often[12:20, 12:20].mean().item() == pytest.approx(144 / 1024, rel=0.2)


def test_weight_decay_is_of_matrices_and_kernels_alone(data, tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(vgg, "fit", lambda *_, **named: given.update(named))
    job = Job(small, get("vgg13").settings | SHORT, data, 0, tmp_path)
    vgg.train(job, vgg.learnt(job))
    groups = given["optimiser"].param_groups
    assert [group["weight_decay"] for group in groups] == [5e-4, 0]
    assert [{w.dim() for w in group["params"]} for group in groups] == [{2, 4}, {1}]


def test_what_is_averaged_resumes_to_the_same_bits(data, tmp_path, monkeypatch):
    def run_to(folder, stop):
        seen = []

        def counted(images, draws, **sizes):
            seen.append(1)
            if len(seen) == stop:
                raise KeyboardInterrupt
            return vary(images, draws, **sizes)

        monkeypatch.setattr(vgg, "vary", counted)
        settings = get("vgg13").settings | SHORT | {"epochs": 4}
        _, model, history = vgg.trained(Job(small, settings, data, 0, folder, progress=False))
        return history[-1]["averaged_accuracy"], fingerprint(model)

    vary = vgg.vary
    with pytest.raises(KeyboardInterrupt):
        run_to(tmp_path / "stopped", stop=25)
    assert run_to(tmp_path / "stopped", stop=None) == run_to(tmp_path / "whole", stop=None)


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
    assert len(kept) == 32
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
    train("mini-vgg-kd", data, tmp_path / "run", epochs=2, share=0.5)
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


@pytest.mark.parametrize(
    ("quota", "allowed"),
    [("200000 100000", 2), ("50000 100000", 1), ("max 100000", 3), ("", 3), (None, 3)],
)
def test_there_are_no_more_threads_than_a_containers_quota(monkeypatch, tmp_path, quota, allowed):
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(running, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(running.os, "sched_getaffinity", lambda process: {1, 2, 5}, raising=False)
    assert running.cores() == allowed
