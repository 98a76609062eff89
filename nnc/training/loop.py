"""Training: one loop for every network of the book, and what makes it resumable.

The loop knows nothing of distillation or of priors. A loss is a callable of logits and batch, a
penalty is a callable of the progress made, and both may close over whatever they need. Device and
number of processes come from Accelerate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from tqdm.auto import tqdm

from nnc.data.sets import Split, as_input
from nnc.hints import check
from nnc.models import answer
from nnc.training.checkpoints import CheckpointFile, History, signals


def stream(*key: int) -> torch.Generator:
    """A CPU generator for every key of whole numbers from 0, as NumPy's SeedSequence derives it.

    Streams are functions of a key, so that a run can start again anywhere.
    """
    word = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(word >> 1)


class Batch(NamedTuple):
    """What a loss sees of a batch besides the logits."""

    images: Tensor  # floating point, N × C × H × W, after augmentation
    labels: Tensor  # int64, N
    indices: Tensor  # int64, N, positions in the training split: the key to stored soft targets
    epoch: int = 0  # from 0; with views it says which one the images are from


def cross_entropy(logits: Tensor, batch: Batch) -> Tensor:
    """Mean cross-entropy of a batch in nats: ``mean_n( -log softmax(logits_n)[label_n] )``."""
    return nn.functional.cross_entropy(logits, batch.labels)


def fit(
    model: nn.Module,
    train: Split,
    loss: Callable[[Tensor, Batch], Tensor] = cross_entropy,
    *,
    optimiser: torch.optim.Optimizer,
    epochs: int,
    batch_size: int,
    penalty: Callable[[float], Tensor] | None = None,
    prior: nn.Module | None = None,
    after_step: Callable[[], None] | None = None,
    scheduler: LRScheduler | None = None,
    validation: Split | None = None,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    views: Callable[[int], Tensor] | None = None,
    shuffle: bool = True,
    measure: Callable[[int], dict[str, float]] | None = None,
    precision: str = "float32",
    seed: int = 0,
    checkpoint: Path | None = None,
    run: str = "",
    accelerator: Any = None,
    progress: bool = True,
) -> History:
    """Minimise ``mean over the batch of loss(logits, batch) + penalty(progress)``.

    Every step sees exactly ``batch_size`` images over all processes; the remainder of an epoch is
    left out, another remainder each time. All randomness is a function of seed, epoch and step,
    so a run that was stopped at any step and started again ends with the same bits as one that
    was not, on the same machine with the same number of threads.

    Args:
        model: trained in place; moved to Accelerate's device.
        train: the images and labels to learn from.
        loss: mean loss per example from logits and batch; cross-entropy unless given.
        optimiser: holds the parameters of the model, and of the prior where there is one.
        epochs: how often the data set is seen.
        batch_size: images per step over all processes, a multiple of their number.
        penalty: added once per step (not per example) to the loss; called with the share of all
            steps already done, in [0, 1). It scales itself: ``tau / n`` belongs in it.
        prior: a module with parameters of its own that the penalty uses; stored in checkpoints.
        after_step: called after every step of the optimiser: ``sharing.step``.
        scheduler: a torch learning-rate scheduler, stepped after every step.
        validation: where given, its accuracy is part of each epoch's row.
        augment: from uint8 images and a generator to images of the same type; it sees the batch
            of all processes, so that their number changes nothing.
        views: from the epoch (from 0) to the images that it learns from, in place of ``train``'s
            and of their shape: a schedule of augmentations that several runs share.
        shuffle: whether each epoch has an order of its own; else that of ``train``.
        measure: called with the epoch (from 1) when it ends; what it returns joins that row.
        precision: of the network alone; losses, weights and statistics stay float32.
            ``"bfloat16"``, with channels innermost, is about twice as fast on GPUs and on
            processors that have it (``lscpu`` says ``avx512_bf16`` or ``amx_bf16``).
        seed: of order, augmentation and dropout. Initial weights are the caller's.
        checkpoint: a file to resume from where it exists, and to keep up to date.
        run: what this run is, in words; a checkpoint of another run is refused.
        accelerator: an ``accelerate.Accelerator``; a default one unless given.
        progress: whether to draw a progress bar.

    Returns:
        One row per epoch: ``epoch`` (from 1), ``loss`` and ``penalty`` (means over its steps),
        ``seconds``, ``validation_accuracy`` where asked for, what ``measure`` returned, and with
        a penalty ``pull_ratio``: in the last step, the norm of the penalty's gradient as a
        multiple of the loss's, over the weights that the penalty depends on.

    Raises:
        ValueError: an argument is out of range, labels do not fit the logits, or the checkpoint
            belongs to another run.
        FloatingPointError: the loss or the penalty became NaN or infinite. The last good
            checkpoint is kept.
    """
    accelerator = _accelerator(accelerator)
    check("epochs", epochs, epochs >= 1, "at least 1")
    count, processes = len(train), accelerator.num_processes
    check("batch_size", batch_size, 1 <= batch_size <= count, f"1 to the {count} training images")
    even = batch_size % processes == 0
    check("batch_size", batch_size, even, f"a multiple of the {processes} processes")
    steps = count // batch_size
    what = f"seed {seed}, {epochs} epochs, batches of {batch_size} from {count}, {precision}"
    modules = {"model": model, "prior": prior, "optimiser": optimiser, "scheduler": scheduler}
    file = CheckpointFile(checkpoint, f"{run} | {what}", modules, accelerator.is_main_process)
    history, start, sums = file.resume()
    largest_label = int(train.labels.max())
    _lay_out(model, precision)
    wrapped = accelerator.prepare_model(model)
    if prior is not None:
        prior.to(accelerator.device)
    bar = tqdm(total=epochs * steps, initial=start, disable=not progress, unit="step", leave=False)
    began = time.perf_counter() - sums["seconds"]
    with torch.random.fork_rng(), signals(noticed=checkpoint is not None) as came, bar:
        for position in range(start, epochs * steps):
            epoch, step = divmod(position, steps)
            if step == 0 or position == start:
                draws = stream(seed, epoch)
                order = torch.randperm(count, generator=draws) if shuffle else torch.arange(count)
                pool = train.images if views is None else _view(views(epoch), train)
            # torch's global stream, which dropout draws from, for this one step
            torch.manual_seed(stream(seed, epoch, step, accelerator.process_index).initial_seed())
            index = order[step * batch_size : (step + 1) * batch_size]
            images = pool[index]
            if augment is not None:
                images = augment(images, stream(seed, epoch, step))
            batch = _share(images, train.labels[index], index, epoch, model, accelerator)
            model.train()
            logits = _logits(wrapped, batch.images, precision)
            _check_labels(largest_label, logits)
            terms = {"loss": loss(logits, batch)}
            terms |= {"penalty": penalty(position / (epochs * steps))} if penalty else {}
            for name, value in terms.items():
                sums[name] += _finite(value, name, epoch, step, checkpoint)
            optimiser.zero_grad(set_to_none=True)
            pull = _pull(terms, model) if step + 1 == steps else {}
            accelerator.backward(sum(terms.values()))
            optimiser.step()
            if after_step is not None:
                after_step()
            if scheduler is not None:
                scheduler.step()
            bar.update()
            sums["seconds"] = time.perf_counter() - began
            if step + 1 == steps:
                sums |= {name: sums[name] / steps for name in ("loss", "penalty")}
                row = _row(epoch, sums, model, validation, precision, measure) | pull
                history.append(row)
                bar.set_postfix_str(_summary(row))
                began, sums = time.perf_counter(), dict.fromkeys(sums, 0.0)
            file.save(history, position + 1, sums, due=bool(came) or step + 1 == steps)
            if came:
                raise KeyboardInterrupt("stopped, a checkpoint is kept; run the same command again")
    accelerator.unwrap_model(wrapped, keep_fp32_wrapper=False)
    return history


@torch.no_grad()
def evaluate(
    model: nn.Module, split: Split, batch_size: int = 250, precision: str = "float32"
) -> float:
    """Share, in [0, 1], of the images whose largest logit is at their label; as ``predict``."""
    logits = predict(model, split, batch_size, precision)
    return (logits.argmax(dim=1) == split.labels).double().mean().item()


@torch.no_grad()
def predict(
    model: nn.Module, split: Split, batch_size: int = 250, precision: str = "float32"
) -> Tensor:
    """Logits of every image of a split, in order, on the CPU: N × number of classes.

    Args:
        model: used in ``eval`` mode and left in the mode it was in.
        split: N images; the labels are not read.
        batch_size: images per forward pass; many more leave a processor's caches.
        precision: as in :func:`fit`.
    """
    was_training = model.training
    model.eval()
    like = next(model.parameters())
    pieces = split.images.split(batch_size)
    try:
        inputs = (as_input(piece).to(like.device, like.dtype) for piece in pieces)
        logits = [_logits(model, images, precision).float().cpu() for images in inputs]
        return torch.cat(logits)
    finally:
        model.train(was_training)


def _accelerator(given: Any) -> Any:
    if given is None:
        from accelerate import Accelerator  # slow to import, and nothing else here needs it

        given = Accelerator()
    kind = given.mixed_precision
    check("accelerator.mixed_precision", kind, kind != "fp16", "'no' or 'bf16'")
    return given


def _view(images: Tensor, train: Split) -> Tensor:
    shape = train.images.shape
    fits = images.dtype == torch.uint8 and images.shape == shape
    check("what views gave", images, fits, f"torch.uint8 of the training images' {tuple(shape)}")
    return images


def _share(
    images: Tensor, labels: Tensor, index: Tensor, epoch: int, model: nn.Module, accelerator: Any
) -> Batch:
    """This process's slice of a step that was drawn and augmented for all processes."""
    size = len(index) // accelerator.num_processes
    mine = slice(accelerator.process_index * size, (accelerator.process_index + 1) * size)
    like = next(model.parameters())
    inputs = as_input(images[mine]).to(like.device, like.dtype)
    return Batch(inputs, labels[mine].to(like.device), index[mine], epoch)


def _lay_out(model: nn.Module, precision: str) -> None:
    for weight in model.parameters():
        if precision == "bfloat16" and weight.dim() == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)


def _logits(model: nn.Module, images: Tensor, precision: str) -> Tensor:
    """Logits, float32 also of a network that computes in bfloat16."""
    known = precision in ("float32", "bfloat16")
    check("precision", precision, known, "'float32' or 'bfloat16'")
    if precision == "float32":
        return answer(model, images)
    with torch.autocast(images.device.type, torch.bfloat16):
        return answer(model, images).float()


def _check_labels(largest: int, logits: Tensor) -> None:
    classes = logits.shape[1] if logits.dim() == 2 else math.inf
    check("the largest label", largest, largest < classes, f"below the model's {classes} outputs")


def _pull(terms: dict[str, Tensor], model: nn.Module) -> dict[str, float]:
    """Norm of the penalty's gradient as a multiple of the loss's, over the weights it reaches."""
    penalty = terms.get("penalty")
    if penalty is None or not penalty.requires_grad:
        return {}
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    pulls, errors = (
        torch.autograd.grad(term, weights, retain_graph=True, allow_unused=True)
        for term in (penalty, terms["loss"])
    )
    reached = [error for pull, error in zip(pulls, errors, strict=True) if pull is not None]
    pull, error = (
        math.hypot(*(float(g.norm()) for g in found if g is not None)) for found in (pulls, reached)
    )
    return {"pull_ratio": pull / max(error, 1e-30)}  # where the loss is flat: large, and finite


def _finite(value: Tensor, name: str, epoch: int, step: int, checkpoint: Path | None) -> float:
    number = value.item()
    if not math.isfinite(number):
        kept = f"; the last good checkpoint is kept in {checkpoint}" if checkpoint else ""
        told = f"the {name} is {number} at epoch {epoch + 1}, step {step + 1}{kept}"
        raise FloatingPointError(f"{told}; lower the learning rate or check the data")
    return number


def _row(
    epoch: int, means: dict[str, float], model: nn.Module, validation: Split | None,
    precision: str, measure: Callable[[int], dict[str, float]] | None,
) -> dict[str, float]:  # fmt: skip
    row = {"epoch": epoch + 1, **means}
    if validation is not None:
        row["validation_accuracy"] = evaluate(model, validation, precision=precision)
    return row | (measure(epoch + 1) if measure is not None else {})


def _summary(row: dict[str, float]) -> str:
    shown = [name for name in ("loss", "pull_ratio", "validation_accuracy") if name in row]
    return ", ".join(f"{name.replace('_', ' ')} {row[name]:.4f}" for name in shown)
