"""What a record says of a network that is not compressed: its size, and its answers' quality."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from nnc import storage
from nnc.calibration import reliability
from nnc.models import count_layers, count_operations, count_parameters
from nnc.quantised import Quantised


def describe(model: nn.Module) -> dict[str, float]:
    """Size of a network: ``parameters``, ``layers`` and ``operations`` for one image."""
    return {
        "parameters": count_parameters(model),
        "layers": count_layers(model),
        "operations": count_operations(model),
    }


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
    right = (predicted == labels).double()
    metrics = {
        f"{kind}_accuracy": right.mean().item(),
        f"{kind}_loss": nn.functional.cross_entropy(logits, labels).item(),
        "calibration_error": reliability(logits, labels).error(),
    }
    for label, name in enumerate(classes):
        metrics[f"accuracy_{name}"] = right[labels == label].mean().item()
    if teacher is not None:
        said = teacher.argmax(dim=1)
        metrics["teacher_accuracy"] = (said == labels).double().mean().item()
        metrics["agreement"] = (said == predicted).double().mean().item()
    return metrics


def store(model: nn.Module, folder: Path) -> Path:
    """Write an uncompressed network, its numbers as float16, and return the file."""
    path = folder / "network.sws"
    storage.save(Quantised.from_state_dict(model.state_dict(), ()), path, precision="float16")
    return path
