"""Checkpoints of a training run: one file, replaced atomically, refused where it does not fit."""

from __future__ import annotations

import contextlib
import io
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from nnc.files import UNREADABLE, atomic_write

SECONDS_BETWEEN_SAVES = 60.0  # within an epoch; the end of an epoch is always saved
History = list[dict[str, float]]
_NO_SUMS = {"loss": 0.0, "penalty": 0.0, "seconds": 0.0}
_KEYS = {"identity", "modules", "history", "position", "sums"}


class CheckpointFile:
    """Where a run stands: model, prior, optimiser, scheduler, history and position.

    Args:
        path: read from at the start and written to; None for neither.
        identity: what the run is; a file with another identity is refused.
        modules: name → anything with ``state_dict`` and ``load_state_dict``, or None.
        writes: False for the other processes of a distributed run, which only read.
    """

    def __init__(
        self, path: Path | None, identity: str, modules: Mapping[str, Any], writes: bool = True
    ) -> None:
        self._path = path
        self._writes = writes
        self._identity = identity
        self._modules = {name: module for name, module in modules.items() if module is not None}
        self._saved_at = time.monotonic()

    def resume(self) -> tuple[History, int, dict[str, float]]:
        """Restore the modules where the file exists.

        Returns:
            History so far, number of steps done, and the unfinished epoch's sums.

        Raises:
            ValueError: the file is damaged, of another run, or of another model or optimiser.
        """
        if self._path is None or not self._path.exists():
            return [], 0, dict(_NO_SUMS)
        state = _read(self._path)
        if state["identity"] != self._identity:
            raise ValueError(
                f"checkpoint {self._path} belongs to another run ({state['identity']}), this "
                f"run is ({self._identity}); choose another path or delete the file"
            )
        for name, module in self._modules.items():
            try:
                module.load_state_dict(state["modules"][name])
            except UNREADABLE as error:
                raise ValueError(
                    f"checkpoint {self._path} has another {name} ({_reason(error)}); choose "
                    "another path or delete the file"
                ) from None
        return state["history"], state["position"], state["sums"]

    def save_when_due(
        self, history: History, position: int, sums: dict[str, float], epoch_ended: bool
    ) -> None:
        """Save at the end of an epoch, and within it once a minute."""
        if epoch_ended or time.monotonic() - self._saved_at > SECONDS_BETWEEN_SAVES:
            self.save(history, position, sums)

    def save(self, history: History, position: int, sums: dict[str, float]) -> None:
        """Replace the file, unless the weights are no longer finite: then the last one stays."""
        if self._path is None or not self._writes or not self._all_finite():
            return
        buffer = io.BytesIO()
        modules = {name: module.state_dict() for name, module in self._modules.items()}
        state = {"modules": modules, "history": history, "position": position, "sums": sums}
        torch.save(state | {"identity": self._identity}, buffer)
        atomic_write(self._path, buffer.getvalue())
        self._saved_at = time.monotonic()

    def _all_finite(self) -> bool:
        kept = (self._modules.get(name) for name in ("model", "prior"))
        states = (module.state_dict() for module in kept if module is not None)
        return all(
            bool(torch.isfinite(value).all())
            for state in states
            for value in state.values()
            if isinstance(value, torch.Tensor)  # a module may keep extra state beside its tensors
        )


@contextlib.contextmanager
def signals(noticed: bool) -> Iterator[list[int]]:
    """The numbers of Ctrl-C and SIGTERM as they come, in place of what they do else.

    Inside an optimiser step some parameters are new and some old, so a handler may only take
    note; the loop looks after each step.
    """
    came: list[int] = []
    previous = {}
    # Signal handlers can be set in the main thread alone.
    if noticed and threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, lambda number, _: came.append(number))
    try:
        yield came
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _read(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ValueError(
            f"checkpoint {path} is damaged ({_reason(error)}); delete it and start anew"
        ) from None
    if not isinstance(state, dict) or not state.keys() >= _KEYS:
        raise ValueError(
            f"checkpoint {path} was not written by nnc.training.fit; choose another path"
        )
    return state


def _reason(error: Exception) -> str:
    """One line of an error; torch puts what is wrong with a state_dict on the second."""
    lines = str(error).splitlines() or [type(error).__name__]
    return " ".join(line.strip() for line in lines[:2])
