import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import nnc
from nnc.training import checkpoints, predict

WORKER = Path(__file__).with_name("training_worker.py")


@pytest.fixture
def train():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 1, 2, 2), generator=generator, dtype=torch.uint8)
    return nnc.data.Split(images, torch.arange(40) % 2)


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))


def fit(model, train, **arguments):
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    defaults = {"optimiser": optimiser, "epochs": 2, "batch_size": 8, "progress": False}
    return nnc.fit(model, train, **(defaults | arguments))


def test_images_that_a_model_cannot_take_are_one_line(train):
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 2))
    for call in (fit, nnc.evaluate, predict):
        with pytest.raises(
            ValueError, match=r"images has shape .*1, 2, 2\).* Sequential cannot take"
        ) as e:
            call(model, train)
        assert "\n" not in str(e.value)
    with pytest.raises(ValueError, match=r"shape \(3, 5\) and type torch\.float32, which model"):
        nnc.models.answer(model, torch.ones(3, 5))


def test_one_row_an_epoch_with_what_was_asked_for(train):
    history = fit(small(), train, validation=train, measure=lambda epoch: {"twice": 2 * epoch})
    assert [row["epoch"] for row in history] == [1, 2]
    assert [row["twice"] for row in history] == [2, 4]
    assert set(history[0]) == {
        *("epoch", "loss", "penalty", "seconds", "validation_accuracy", "twice")
    }


def test_one_step_by_hand(train):
    model, twin = small(), small()
    fit(model, train, epochs=1, batch_size=40)
    loss = nn.functional.cross_entropy(twin(nnc.data.as_input(train.images)), train.labels)
    loss.backward()
    expected = twin[1].weight - 0.1 * twin[1].weight.grad
    torch.testing.assert_close(model[1].weight, expected)


def test_the_penalty_is_added_once_a_step_and_told_the_progress(train):
    seen = []

    def penalty(progress):
        seen.append(progress)
        return torch.tensor(3.0)

    history = fit(small(), train, penalty=penalty)
    assert seen == [step / 10 for step in range(10)]
    assert history[0]["penalty"] == 3.0


def test_the_pull_is_the_penaltys_gradient_by_the_losses(train):
    model, twin = small(), small()
    weight = twin[1].weight
    nn.functional.cross_entropy(twin(nnc.data.as_input(train.images)), train.labels).backward()
    expected = 3 * weight.norm() / weight.grad.norm()  # of 3 |w|² / 2; the bias is left out
    history = fit(
        model,
        train,
        epochs=1,
        batch_size=40,
        penalty=lambda _: 1.5 * model[1].weight.square().sum(),
    )
    assert history[0]["pull_ratio"] == pytest.approx(float(expected.detach()), rel=1e-5)


@pytest.mark.parametrize(
    ("penalty", "loss", "expected"),
    [
        ("none", "some", None),
        ("constant", "some", None),
        ("elsewhere", "some", 0),
        ("weights", "flat", 1e30),
    ],
)
def test_a_pull_that_cannot_be_compared_is_finite_or_left_out(train, penalty, loss, expected):
    model, own = small(), nn.Parameter(torch.ones(()))
    penalties = {
        "none": None,
        "constant": lambda _: torch.tensor(3.0),
        "elsewhere": lambda _: own,
        "weights": lambda _: model[1].weight.sum() * 8**-0.5,
    }
    losses = {"some": nnc.cross_entropy, "flat": lambda logits, batch: 0 * logits.sum()}
    rows = fit(model, train, loss=losses[loss], penalty=penalties[penalty])
    assert rows[-1].get("pull_ratio") == (None if expected is None else pytest.approx(expected))


def streams():
    numpys = np.random.get_state()[1].tolist()  # noqa: NPY002 - the global one is meant
    return torch.get_rng_state().tolist(), random.getstate(), numpys


def test_the_callers_random_streams_are_left_alone(train):
    model = nn.Sequential(small(), nn.Dropout(0.5))
    before = streams()
    fit(model, train, augment=lambda images, _: images.flip(3))
    assert streams() == before


def test_a_little_training_beats_chance():
    digits = nnc.data.load("mnist-5k")
    torch.manual_seed(0)
    model = nnc.LeNet300100()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    (row,) = nnc.fit(
        model,
        digits.train.take(torch.arange(1000)),
        optimiser=optimiser,
        epochs=1,
        batch_size=50,
        validation=digits.test.take(torch.arange(500)),
        progress=False,
    )
    # Chance is 0.1; this reaches about 0.7.
    assert row["validation_accuracy"] > 0.4


class Several:
    """What the loop asks of an Accelerator before it trains."""

    num_processes, mixed_precision = 3, "no"


def test_a_batch_that_does_not_divide_among_processes_is_refused(train):
    with pytest.raises(ValueError, match="batch_size is 8, must be a multiple of the 3 processes"):
        fit(small(), train, accelerator=Several())


def test_half_precision_of_the_narrow_kind_is_refused(train):
    accelerator = Several()
    accelerator.mixed_precision = "fp16"
    with pytest.raises(ValueError, match="precision is 'fp16', must be 'no' or 'bf16'"):
        fit(small(), train, accelerator=accelerator)


def test_a_second_seed_sees_another_order(train):
    one, other = small(), small()
    fit(one, train, seed=0)
    fit(other, train, seed=1)
    assert not torch.equal(one[1].weight, other[1].weight)


def test_losses_get_the_positions_of_their_images(train):
    def loss(logits, batch):
        assert torch.equal(train.labels[batch.indices], batch.labels)
        assert torch.equal(nnc.data.as_input(train.images[batch.indices]), batch.images)
        return nnc.cross_entropy(logits, batch)

    fit(small(), train, loss=loss)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs is 0, must be at least 1"),
        ({"batch_size": 0}, "batch_size is 0, must be 1 to the 40"),
        ({"batch_size": 41}, "batch_size is 41"),
    ],
)
def test_bad_arguments_are_named_with_their_value(train, change, message):
    with pytest.raises(ValueError, match=message):
        fit(small(), train, **change)


def test_a_label_beyond_the_outputs_is_named(train):
    with pytest.raises(ValueError, match="largest label is 7, must be below the model's 2 outputs"):
        fit(small(), nnc.data.Split(train.images, torch.full((40,), 7)))


@pytest.mark.parametrize("term", ["loss", "penalty"])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(train, tmp_path, term):
    path, count = tmp_path / "checkpoint", iter(range(100))

    def bad(*_):
        return torch.tensor(float("nan") if next(count) == 7 else 0.0, requires_grad=True)

    arguments = {"loss": bad} if term == "loss" else {"penalty": bad}
    with pytest.raises(
        FloatingPointError, match=rf"the {term} is nan at epoch 2, step 3; the last"
    ):
        fit(small(), train, checkpoint=path, **arguments)
    assert torch.load(path, weights_only=True)["position"] == 5


def test_a_finished_run_is_not_trained_again(train, tmp_path):
    path, first, second = tmp_path / "checkpoint", small(), small()
    history = fit(first, train, checkpoint=path)
    assert fit(second, train, checkpoint=path) == history
    assert torch.equal(first[1].weight, second[1].weight)


def test_a_checkpoint_of_another_run_is_refused(train, tmp_path):
    path = tmp_path / "checkpoint"
    fit(small(), train, checkpoint=path, run="one")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="belongs to another run"):
        fit(small(), train, checkpoint=path, run="other")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("other", "prior", "message"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), None, "another model .*size mismatch for 1"),
        (nn.Linear(4, 2), None, "another model .*Missing key"),
        (None, nn.Linear(1, 1), "another prior"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused(train, tmp_path, other, prior, message):
    path = tmp_path / "checkpoint"
    fit(small(), train, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message) as caught:
        fit(other or small(), train, checkpoint=path, prior=prior)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_a_flipped_bit_in_a_checkpoint_never_shows_a_traceback_from_deep_in_torch(tmp_path):
    path, stream = tmp_path / "checkpoint", random.Random(0)
    file = checkpoints.CheckpointFile(path, "run", {"model": small()})
    file.save([], 1, {})
    data = path.read_bytes()
    for _ in range(200):
        damaged = bytearray(data)
        damaged[stream.randrange(len(data))] ^= 1 << stream.randrange(8)
        path.write_bytes(damaged)
        with contextlib.suppress(ValueError):
            file.resume()


def test_a_file_of_something_else_is_refused(train, tmp_path):
    path = tmp_path / "checkpoint"
    torch.save(small().state_dict(), path)
    with pytest.raises(ValueError, match="was not written by nnc.training.fit"):
        fit(small(), train, checkpoint=path)


@pytest.mark.parametrize("keep", [0, 1, 100, 1000])
def test_a_damaged_checkpoint_is_refused(train, tmp_path, keep):
    path = tmp_path / "checkpoint"
    fit(small(), train, checkpoint=path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="is damaged"):
        fit(small(), train, checkpoint=path)


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    model = small()
    file = checkpoints.CheckpointFile(tmp_path / "file", "run", {"model": model})
    nn.init.constant_(model[1].weight, float("inf"))
    file.save([], 1, {})
    assert not (tmp_path / "file").exists()


def test_evaluation_leaves_the_mode_and_counts_right(train):
    model = small()
    model.train()
    share = nnc.evaluate(model, train, batch_size=7)
    assert model.training
    right = predict(model, train).argmax(1) == train.labels
    assert share == right.double().mean().item()


def ends(folder):
    model, prior, rows = torch.load(folder / "end", weights_only=True)
    return model | prior, rows


def test_killed_at_any_step_and_resumed_is_the_same_to_the_bit(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    command = [sys.executable, str(WORKER), "resume"]
    with subprocess.Popen([*command, str(whole)], stdout=subprocess.DEVNULL) as uninterrupted:
        # At most 3 × 70 of 240 steps, so that each of them is killed while it trains.
        kills = [random.randint(1, 70) for _ in range(3)]
        for steps in kills:
            with subprocess.Popen([*command, str(killed)], stdout=subprocess.PIPE) as process:
                assert all(process.stdout.readline() for _ in range(steps))
                time.sleep(random.uniform(0, 0.01))
                process.kill()
            assert process.returncode == -signal.SIGKILL
        assert not (killed / "end").exists()
        last = subprocess.run([*command, str(killed)], check=True, capture_output=True)
    assert uninterrupted.returncode == 0
    assert last.stdout.count(b"step") < 240  # it went on and did not start anew
    tensors, rows = ends(whole)
    resumed, resumed_rows = ends(killed)
    assert resumed_rows == rows, kills
    assert resumed.keys() == tensors.keys()
    assert all(torch.equal(resumed[name], tensors[name]) for name in tensors), kills


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_that_resumes_to_the_same_bits(train, tmp_path, number):
    path, whole, stopped = tmp_path / "checkpoint", small(), small()
    expected = fit(whole, train)
    handlers = [signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)]

    def interrupting(progress):
        if progress == 0.7:
            signal.raise_signal(number)
        return torch.tensor(0.0)

    with pytest.raises(KeyboardInterrupt, match="a checkpoint is kept; run the same command"):
        fit(stopped, train, checkpoint=path, penalty=interrupting)
    # Only the end of an epoch and the signal save: step 8 of 10 was finished first.
    assert torch.load(path, weights_only=True)["position"] == 8
    assert [signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)] == handlers
    again = small()
    rows = fit(again, train, checkpoint=path, penalty=lambda progress: torch.tensor(0.0))
    assert torch.equal(again[1].weight, whole[1].weight)
    assert [row["loss"] for row in rows] == [row["loss"] for row in expected]


def convolutional():
    torch.manual_seed(0)
    convolution = nn.Conv2d(1, 4, 3, padding=1)
    return nn.Sequential(convolution, nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))


def test_bfloat16_computes_in_it_and_keeps_everything_else_in_float32(train):
    model, kinds = convolutional(), set()

    def loss(logits, batch):
        kinds.update({logits.dtype, batch.images.dtype})
        return nnc.cross_entropy(logits, batch)

    model[0].register_forward_hook(lambda module, given, result: kinds.add(result.dtype))
    fit(model, train, loss=loss, penalty=lambda _: model[0].weight.sum(), precision="bfloat16")
    assert kinds == {torch.float32, torch.bfloat16}
    state = model.state_dict()
    assert {value.dtype for value in state.values()} == {torch.float32, torch.int64}
    assert state["0.weight"].is_contiguous(memory_format=torch.channels_last)
    exact = predict(model, train)
    rough = predict(model, train, precision="bfloat16")
    assert exact.dtype == rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    torch.testing.assert_close(exact, rough, rtol=0.05, atol=0.05)


def test_bfloat16_learns_what_float32_learns(train):
    exact, rough = convolutional(), convolutional()
    rows = [fit(exact, train), fit(rough, train, precision="bfloat16")]
    assert rows[0][-1]["loss"] == pytest.approx(rows[1][-1]["loss"], rel=0.02)
    torch.testing.assert_close(exact[1].running_var, rough[1].running_var, rtol=0.02, atol=1e-4)


def test_bfloat16_resumes_to_the_same_bits(train, tmp_path):
    path, whole, stopped, again = tmp_path / "checkpoint", *(convolutional() for _ in range(3))
    fit(whole, train, precision="bfloat16")

    def interrupting(progress):
        if progress == 0.7:
            signal.raise_signal(signal.SIGINT)
        return torch.tensor(0.0)

    with pytest.raises(KeyboardInterrupt):
        fit(stopped, train, checkpoint=path, penalty=interrupting, precision="bfloat16")
    with pytest.raises(ValueError, match="belongs to another run"):
        fit(again, train, checkpoint=path)
    fit(again, train, checkpoint=path, precision="bfloat16")
    for name, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_another_precision_is_named(train):
    with pytest.raises(ValueError, match="precision is 'half', must be 'float32' or 'bfloat16'"):
        fit(small(), train, precision="half")
    with pytest.raises(ValueError, match="precision is 'bf16'"):
        predict(small(), train, precision="bf16")


def test_two_processes_take_the_same_steps_as_one(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    alone = [sys.executable, str(WORKER), "steps", str(one)]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
    port = f"--rdzv_endpoint=localhost:{random.randint(20_000, 60_000)}"
    both = [*launch, "--rdzv_backend=c10d", port, str(WORKER), "steps", str(two)]
    for command in (alone, both):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
    (tensors, _), (others, _) = ends(one), ends(two)
    assert others.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == torch.float64
        torch.testing.assert_close(others[name], tensor, rtol=0, atol=1e-9)


def test_import_takes_no_device_and_draws_nothing():
    code = (
        "import sys, torch, nnc; "
        "assert not torch.cuda.is_initialized(); "
        "assert not {'matplotlib.pyplot', 'accelerate'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_views_give_the_images_of_each_epoch_and_the_loss_is_told_which(train):
    seen = []

    def loss(logits, batch):
        seen.append((batch.epoch, batch.images.mean().item()))
        return nnc.cross_entropy(logits, batch)

    def views(epoch):
        return torch.full_like(train.images, 51 * epoch)

    fit(small(), train, loss=loss, views=views, epochs=3, batch_size=20)
    assert [epoch for epoch, _ in seen] == [0, 0, 1, 1, 2, 2]
    assert [mean for _, mean in seen] == pytest.approx([0, 0, 0.2, 0.2, 0.4, 0.4])


def test_views_and_order_are_the_same_after_a_stop(train, tmp_path):
    def views(epoch):
        return train.images // (epoch + 1)

    whole, stopped = small(), small()
    fit(whole, train, views=views, epochs=3)

    class StopError(Exception):
        pass

    def fragile(logits, batch):
        if batch.epoch == 1 and tmp_path.joinpath("first").exists() is False:
            tmp_path.joinpath("first").touch()
            raise StopError
        return nnc.cross_entropy(logits, batch)

    checkpoint = tmp_path / "run.checkpoint"
    with pytest.raises(StopError):
        fit(stopped, train, loss=fragile, views=views, epochs=3, checkpoint=checkpoint)
    again = small()
    fit(again, train, loss=fragile, views=views, epochs=3, checkpoint=checkpoint)
    assert torch.equal(whole[1].weight, again[1].weight)


@pytest.mark.parametrize(
    "wrong", [torch.zeros(40, 1, 2, 2), torch.zeros(39, 1, 2, 2, dtype=torch.uint8)]
)
def test_views_of_another_shape_or_type_are_refused(train, wrong):
    with pytest.raises(ValueError, match="views gave"):
        fit(small(), train, views=lambda epoch: wrong)


def test_without_shuffling_the_order_is_the_splits(train):
    seen = []

    def loss(logits, batch):
        seen.extend(batch.indices.tolist())
        return nnc.cross_entropy(logits, batch)

    fit(small(), train, loss=loss, shuffle=False)
    assert seen == [*range(40), *range(40)]
