"""LeNets made small, from end to end: embedded images, few epochs."""

import dataclasses

import pytest
import torch

from nnc import data, models, prunable_weights, storage, training
from nnc.data import load
from nnc.training.checkpoints import CheckpointFile
from nnc_book import records
from nnc_book.magnitude import sparsity_after
from nnc_book.recipes import get, lenets, stages
from nnc_book.recipes.job import Job
from nnc_book.running import run, search

SHORT = {
    "validation": 1000,
    "dense_epochs": 3,
    "cluster_epochs": 3,
    "settle_epochs": 1,
    "mixture_learning_rate": 3e-3,
    "prune_epochs": 4,
    "frozen_epochs": 1,
    "share_epochs": 5,
    "share_batch_size": 64,
    "lose": 0.05,
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
    monkeypatch.setitem(lenets.TEACHER, "epochs", 1)


def short(name, **changes):
    settings = get(name).settings
    return settings | {k: v for k, v in (SHORT | changes).items() if k in settings}


def train(name, folder, seed=0, **changes):
    settings = short(name, **changes)
    return run(get(name), settings, load("mnist-5k"), seed, folder, progress=False)["run"]


def job_of(name, folder, build=models.LeNet300100, **changes):
    settings = get(name).settings | {"validation": 1000} | changes
    return Job(build, settings, load("mnist-5k"), 0, folder, progress=False)


def stages_of(name):
    if "share_epochs" in get(name).settings:
        return {"dense", "share"}
    shrinking = {"prune"} if "magnitude" in name else {"cluster"}
    settles = "settle_epochs" in get(name).settings
    return {"dense", *shrinking, *(["settle"] if settles else []), "frozen"}


SHRINKING = {"cluster_epochs", "prune_epochs", "share_epochs"}
LENETS = [r.name for r in lenets.RECIPES if r.settings.keys() & SHRINKING]


@pytest.mark.parametrize("name", LENETS)
def test_a_lenet_is_made_small_and_read_back(name, tmp_path):
    done = train(name, tmp_path / "run")
    metrics = done["metrics"]
    assert metrics["file_bytes"] == (tmp_path / "run" / "network.sws").stat().st_size
    assert done["history"].keys() == stages_of(name)
    assert 0.3 < metrics["sparsity"] < 1
    assert metrics["dense_accuracy"] > 0.5
    model = storage.load(tmp_path / "run" / "network.sws").load_into(get(name).build())
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
    job = job_of("lenet300-kd-sws", tmp_path, views=2)
    lesson = lenets.learnt(job)
    its = job.beside("lenet5-shifted", lenets.lenet5, lenets.TEACHER | {"validation": 1000}, 0)
    teacher, _ = lenets.train_teacher(its)
    index = torch.arange(20)
    images = lesson["views"](1)[index]
    assert not torch.equal(images, lesson["train"].images[index])
    batch = training.Batch(data.as_input(images), lesson["train"].labels[index], index, epoch=3)
    with torch.no_grad():
        said = teacher.eval()(batch.images)
    assert torch.allclose(lesson["loss"].teacher(batch), said, atol=0.01)


def test_a_run_that_was_stopped_in_every_stage_ends_with_the_same_bits(monkeypatch, tmp_path):
    (tmp_path / "other").mkdir()
    whole = train("lenet300-kd-sws", tmp_path / "whole")
    monkeypatch.chdir(tmp_path / "other")  # where no teacher and no dense network is
    left = ["train", "dense", "cluster", "settle", "frozen"]
    save = CheckpointFile.save

    def stop_once(self, *given, **more):
        save(self, *given, **more)
        if more.get("due", True) and left and self._path.stem == left[0]:
            left.pop(0)
            raise KeyboardInterrupt

    monkeypatch.setattr(CheckpointFile, "save", stop_once)
    while left:
        with pytest.raises(KeyboardInterrupt):
            train("lenet300-kd-sws", tmp_path / "stopped")
    resumed = train("lenet300-kd-sws", tmp_path / "stopped")
    assert resumed["sha256"] == whole["sha256"]
    assert resumed["metrics"] == whole["metrics"]


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
    shares = [sparsity_after(epoch / 5, 0.9) for epoch in range(11)]
    assert shares[0] == 0
    assert shares[1] == pytest.approx(0.9 * (1 - 0.8**3))
    assert shares[5:] == [pytest.approx(0.9)] * 6
    assert shares == sorted(shares)


def test_pruning_takes_the_smallest_of_all_layers(tmp_path):
    few = {"prune_epochs": 2, "prune_ramp": 0.5, "target_sparsity": 0.9}
    job = job_of("lenet300-magnitude", tmp_path, **few, prune_learning_rate=1e-9)
    images = load("mnist-5k").train.take(torch.arange(256))
    torch.manual_seed(0)
    model = models.LeNet300100()
    before = torch.cat([w.detach().flatten() for w in prunable_weights(model).values()])
    history = stages.prune_gradually(job, {"train": images, "batch_size": 128}, model)
    after = torch.cat([weight.flatten() for weight in prunable_weights(model).values()])
    kept = before.abs() > before.abs().quantile(0.9)
    assert ((after != 0) == kept).double().mean() > 0.999
    assert history[-1]["would_be_sparsity"] == pytest.approx(0.9, abs=1e-4)


def test_settling_starts_from_what_clustering_pruned(tmp_path):
    done = train("lenet300-kd-sws", tmp_path / "run", settle_epochs=2, levels=5)
    clustered = done["history"]["cluster"][-1]["would_be_sparsity"]
    assert 0 < clustered <= min(row["would_be_sparsity"] for row in done["history"]["settle"])
    codebooks = storage.load(tmp_path / "run" / "network.sws").codebooks
    weights = [codebooks[name] for name in prunable_weights(models.LeNet300100())]
    assert [len(values) for values in weights] == [5, 5, 5]  # each layer has values of its own
    assert len({float(value) for values in weights for value in values}) == 13  # zero is shared


@pytest.mark.parametrize("lever", lenets.LEVERS)
def test_a_lever_changes_what_it_names_and_reaches_the_prior(lever):
    plain = get("lenet300-levers").settings
    changed = lenets.LEVERS[lever]
    known = plain.keys() | get("lenet300-kd-sws").settings.keys() | {"beta", "scale_per_layer"}
    assert changed.keys() <= known
    assert not changed.items() & {k: v for k, v in plain.items() if k in changed}.items()
    prior = stages.mixture(plain | changed, models.LeNet300100())
    assert (prior.log_scales is not None) == (lever == "a scale per layer")
    assert (prior.hyper.pi_0 is not None) == ("Beta" in lever)
    assert len(prior.means) == (4 if lever == "4 components" else 16)
    assert (prior.hyper.zero.shape == 1) == (lever == "no hyper-priors")


def test_one_lever_is_moved(tmp_path):
    few = {"cluster_epochs": 1, "dense_epochs": 1}
    done = train("lenet300-levers", tmp_path / "run", lever="settled", **few)
    assert len(done["history"]["settle"]) == lenets.LEVERS["settled"]["settle_epochs"]
    with pytest.raises(ValueError, match="lever is 'crowbar', must be one of as recorded"):
        train("lenet300-levers", tmp_path / "other", lever="crowbar")


def test_a_search_keeps_what_differs_between_its_trials(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    trials = ({"tau": 1e-3}, {"tau": 2e-3}, {"sigma": -1.0})
    settings = short("lenet300-sws", dense_epochs=1, cluster_epochs=1)
    recipe = dataclasses.replace(get("lenet300-sws"), settings=settings, trials=trials)
    search(recipe, load("mnist-5k"), tmp_path / "search", progress=False)
    assert "trial 2: {'sigma': -1.0}: sigma " in capsys.readouterr().out
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("trial.json")}
    search(recipe, load("mnist-5k"), tmp_path / "search", progress=False)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("trial.json")}
    assert records.add_trials(tmp_path / "search") == ("lenet300-sws", 2)
    kept = records.trials("lenet300-sws")
    assert [trial["params"] for trial in kept] == [{"tau": 1e-3}, {"tau": 2e-3}]
    assert all("validation_accuracy" in trial["metrics"] for trial in kept)
    assert not any("test_accuracy" in trial["metrics"] for trial in kept)
    with pytest.raises(ValueError, match="is not finished"):  # a trial is no run
        records.add([tmp_path / "search" / "trial-00"])


def test_what_has_no_trials_is_not_searched(tmp_path):
    with pytest.raises(ValueError, match="recipe is 'lenet5-sws', which has no trials"):
        search(get("lenet5-sws"), load("mnist-5k"), tmp_path)
