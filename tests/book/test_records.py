import functools
import json
import shutil

import numpy as np
import pytest

from nnc import data
from nnc_book import records
from nnc_book.recipes import RECIPES
from nnc_book.records.checks import check

load_once = functools.cache(functools.partial(data.load, download=False))
each_record = pytest.mark.parametrize("recipe", records.names())


def edit(folder, recipe, change):
    path = folder / f"{recipe}.json"
    record = json.loads(path.read_text())
    change(record["runs"][0])
    path.write_text(json.dumps(record))


@each_record
def test_every_file_of_a_record_is_what_it_says(recipe):
    assert records.verify(recipe) == []


@each_record
def test_stored_networks_reach_their_accuracy_on_the_real_test_set(recipe):
    wrong, evaluated = check(recipe, load_once)
    assert wrong == []
    if not evaluated:
        pytest.skip("the record's data set is not here; set NNC_DATA to check accuracies too")


# Teachers: the pages say that each is one run.
ONE_RUN = {"vgg13", "lenet5-shifted"}


@each_record
def test_a_record_is_of_a_recipe_on_a_full_data_set_with_three_seeds(recipe):
    record = records.read(recipe)
    assert recipe in RECIPES
    assert record["dataset"]["name"] != "mnist-5k"
    assert len({run["seed"] for run in record["runs"]}) >= (1 if recipe in ONE_RUN else 3)


# Recorded by an earlier recipe; the runs that replace them take hours.
AWAITED = {"vgg13", "mini-vgg", "mini-vgg-kd", "mini-vgg-kd-unlabelled"}


@each_record
def test_recorded_settings_are_the_recipes(recipe):
    settings = json.loads(json.dumps(RECIPES[recipe].settings))
    assert (records.read(recipe)["settings"] == settings) == (recipe not in AWAITED)


def test_the_record_of_a_run_has_the_documented_keys():
    record = records.read("lenet300-sws")
    assert {"recipe", "settings", "dataset", "environment", "runs"} == record.keys()
    run = record["runs"][0]
    assert {"seed", "metrics", "history", "file", "sha256", "seconds"} <= run.keys()
    assert {
        *("dense_accuracy", "test_accuracy", "sparsity", "file_bytes", "compression_ratio")
    } <= run["metrics"].keys()


def test_an_edited_sparsity_is_found(copied):
    edit(copied, "lenet300-sws", lambda run: run["metrics"].update(sparsity=0.99))
    assert "sparsity is recorded as 0.99" in records.verify("lenet300-sws")[0]


def test_a_swapped_file_is_found(copied):
    folder = copied / "lenet300-sws"
    shutil.copyfile(folder / "seed-1.sws", folder / "seed-0.sws")
    assert "is not the file that was recorded" in records.verify("lenet300-sws")[0]


def test_an_edited_accuracy_is_found(copied):
    try:
        data.load("mnist", download=False)
    except FileNotFoundError:
        pytest.skip("MNIST is not here; set NNC_DATA to check accuracies too")
    edit(copied, "lenet300-sws", lambda run: run["metrics"].update(test_accuracy=0.99))
    assert "test_accuracy is recorded as 0.99" in check("lenet300-sws", load_once)[0][0]


def test_a_recorded_teachers_answers_are_for_its_own_images():
    fingerprint = records.read("mnist-kd")["dataset"]["fingerprint"]
    answers = records.training_answers("mnist-kd", fingerprint)
    assert answers.shape == (60_000, 10)
    assert answers.dtype == "float16"
    assert np.isfinite(answers).all()
    with pytest.raises(ValueError, match="fingerprint is 000"):
        records.training_answers("mnist-kd", "0" * 64)


def test_a_recorded_teachers_answers_fit_the_real_labels():
    try:
        mnist = data.load("mnist", download=False)
    except FileNotFoundError:
        pytest.skip("MNIST is not here; set NNC_DATA to check the teacher's answers")
    answers = records.training_answers("mnist-kd", mnist.fingerprint)
    assert (answers.argmax(axis=1) == mnist.train.labels.numpy()).mean() > 0.98


def test_records_are_small_enough_for_the_wheel():
    sizes = [path.stat().st_size for path in records.FOLDER.rglob("*") if path.is_file()]
    assert sum(sizes) < 15e6


def test_the_teachers_pictures_are_few_and_small():
    answers = records.arrays("vgg13", "answers")
    assert len(answers["thumbnails"]) <= 24
    assert answers["thumbnails"].nbytes <= 80_000
    accuracy = (answers["logits"].argmax(1) == answers["labels"]).mean()
    assert accuracy == pytest.approx(records.mean("vgg13", "test_accuracy"), abs=1e-4)


def test_unknown_names_are_refused_with_a_hint():
    with pytest.raises(ValueError, match="did you mean 'lenet300-sws'"):
        records.read("lenet300-sw")
    with pytest.raises(ValueError, match="metric is 'speed'"):
        records.values("lenet300-sws", "speed")
