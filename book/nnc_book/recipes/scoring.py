"""What a record says of a network that is not compressed: its size, and its answers' quality."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from nnc import storage
from nnc.data import Split
from nnc.models import count_layers, count_operations, count_parameters
from nnc.pruning import Quantised
from nnc.training import Views, teacher_logits
from nnc_book.calibration import reliability
from nnc_book.recipes.job import Job


def describe(model: nn.Module) -> dict[str, float]:
    """Size of a network: ``parameters``, ``layers`` and ``operations`` for one image."""
    return {
        "parameters": count_parameters(model),
        "layers": count_layers(model),
        "operations": count_operations(model),
    }


def answers(teacher: nn.Module, split: Split, job: Job, name: str) -> Tensor:
    """A teacher's logits for images as they are, float32, kept under a name beside its checkpoint.

    Args:
        teacher: asked where the answers are not there yet.
        split: N images.
        job: the teacher's.
        name: of the folder that keeps them.

    Returns:
        N × C.
    """
    return teacher_logits(teacher, Views(split, 1), job.folder / name, job.progress)[0].float()


def share(values: Tensor) -> float:
    """Share of entries that are true."""
    return values.double().mean().item()


def score(
    logits: Tensor,
    labels: Tensor,
    kind: str,
    classes: tuple[str, ...],
    teacher: Tensor | None = None,
) -> dict[str, float]:
    """Metrics of a network's logits.

    Args:
        logits: N × C.
        labels: int64, N.
        kind: ``"test"`` or ``"validation"``, the beginning of some metrics' names.
        classes: their names.
        teacher: the teacher's logits for the same images, where there is one.

    Returns:
        ``<kind>_accuracy``, ``<kind>_loss`` (cross-entropy in nats), ``calibration_error``,
        ``accuracy_<class>``; with a teacher ``teacher_accuracy`` and ``agreement``, the share of
        images to which both give the same class.
    """
    predicted = logits.argmax(dim=1)
    right = predicted == labels
    metrics = {
        f"{kind}_accuracy": share(right),
        f"{kind}_loss": nn.functional.cross_entropy(logits, labels).item(),
        "calibration_error": reliability(logits, labels).error(),
    }
    for label, name in enumerate(classes):
        metrics[f"accuracy_{name}"] = share(right[labels == label])
    if teacher is not None:
        said = teacher.argmax(dim=1)
        metrics["teacher_accuracy"] = share(said == labels)
        metrics["agreement"] = share(said == predicted)
    return metrics


def store(model: nn.Module, folder: Path) -> Path:
    """Write an uncompressed network, its numbers as float16, and return the file."""
    path = folder / "network.sws"
    storage.save(Quantised.from_state_dict(model.state_dict(), ()), path, precision="float16")
    return path
