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
_WAYS_OUT = "choose another path or delete the file"
_KEYS = {"identity", "modules", "history", "position", "sums"}


class CheckpointFile:
    """Where a run stands: model, prior, optimiser, scheduler, history and position.

    A file of another identity, which is what the run is, is refused. Modules, where not None, have
    ``state_dict`` and ``load_state_dict``. Of the processes of a distributed run one writes.
    """

    def __init__(
        self, path: Path | None, identity: str, modules: Mapping[str, Any], writes: bool = True
    ) -> None:
        self._path, self._identity, self._writes = path, identity, writes
        self._modules = {name: module for name, module in modules.items() if module is not None}
        self._saved_at = time.monotonic()

    def resume(self) -> tuple[History, int, dict[str, float]]:
        """Restore the modules where the file exists; a file that is damaged or of another run,
        model or optimiser is a ValueError.

        Gives history so far, number of steps done, and the unfinished epoch's sums.
        """
        if self._path is None or not self._path.exists():
            return [], 0, dict(_NO_SUMS)
        state = _read(self._path)
        if state["identity"] != self._identity:
            runs = f"another run ({state['identity']}), this run is ({self._identity})"
            raise ValueError(f"checkpoint {self._path} belongs to {runs}; {_WAYS_OUT}")
        for name, module in self._modules.items():
            try:
                module.load_state_dict(state["modules"][name])
            except UNREADABLE as error:
                other = f"another {name} ({_reason(error)})"
                raise ValueError(f"checkpoint {self._path} has {other}; {_WAYS_OUT}") from None
        return state["history"], state["position"], state["sums"]

    def save(
        self, history: History, position: int, sums: dict[str, float], due: bool = True
    ) -> None:
        """Replace the file where that is due, and else once a minute.

        Weights that are no longer finite are not written: then the last file stays.
        """
        due |= time.monotonic() - self._saved_at > SECONDS_BETWEEN_SAVES
        if self._path is None or not self._writes or not due or not self._all_finite():
            return
        buffer = io.BytesIO()
        modules = {name: module.state_dict() for name, module in self._modules.items()}
        state = {"modules": modules, "history": history, "position": position, "sums": sums}
        torch.save(state | {"identity": self._identity}, buffer)
        atomic_write(self._path, buffer.getvalue())
        self._saved_at = time.monotonic()

    def _all_finite(self) -> bool:
        kept = [self._modules[name] for name in ("model", "prior") if name in self._modules]
        values = [value for module in kept for value in module.state_dict().values()]
        # A module may keep extra state beside its tensors.
        return all(bool(v.isfinite().all()) for v in values if isinstance(v, torch.Tensor))


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
        raise ValueError(f"checkpoint {path} is damaged ({_reason(error)}); {_WAYS_OUT}") from None
    if not isinstance(state, dict) or not state.keys() >= _KEYS:
        raise ValueError(f"checkpoint {path} was not written by nnc.training.fit; {_WAYS_OUT}")
    return state


def _reason(error: Exception) -> str:
    """One line of an error; torch puts what is wrong with a state_dict on the second."""
    lines = str(error).splitlines() or [type(error).__name__]
    return " ".join(line.strip() for line in lines[:2])
