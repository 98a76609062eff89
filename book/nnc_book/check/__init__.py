"""Answers to the exercises of the chapters: right or not, with a hint that fits the mistake.

``answers`` is for readers, before they look at a solution; ``solution`` is what each solution
passes its own answer to, so that the two cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Number

from nnc.hints import did_you_mean
from nnc_book.check.exercise import Exercise
from nnc_book.check.sharing import SHARING
from nnc_book.check.teaching import TEACHING

__all__ = ["answers", "solution"]

_EXERCISES = TEACHING | SHARING


def answers(chapter: str, given: Mapping[int, object]) -> None:
    """Say of each answer whether it is right, a line each; of a wrong one, what to look at.

    Args:
        chapter: name of its file, without the suffix.
        given: exercise → answer: a number, a word, or several of them as a tuple; None where there
            is no answer yet.

    Raises:
        ValueError: there is no such chapter.
    """
    exercises = _of(chapter)
    for number in sorted(given):
        if number not in exercises:
            known = ", ".join(map(str, sorted(exercises)))
            print(f"{number}: not checked here; exercises {known} are")
        else:
            print(f"{number}: {_verdict(exercises[number], given[number])}")


def solution(chapter: str, number: int, answer: object) -> None:
    """Make sure that an answer counts as right.

    Raises:
        ValueError: there is no such chapter or exercise.
        AssertionError: the answer is not right.
    """
    exercises = _of(chapter)
    if number not in exercises:
        raise ValueError(f"number is {number}, {chapter!r} checks {sorted(exercises)}")
    said = _verdict(exercises[number], answer)
    assert said == "right", f"{chapter}, exercise {number}: {said}"


def _of(chapter: str) -> Mapping[int, Exercise]:
    if chapter not in _EXERCISES:
        hint = did_you_mean(chapter, _EXERCISES)
        raise ValueError(f"chapter is {chapter!r}, must be one of {', '.join(_EXERCISES)}{hint}")
    return _EXERCISES[chapter]


def _verdict(exercise: Exercise, answer: object) -> str:
    if answer is None:
        return "no answer yet"
    expected = exercise.expected()
    if fault := _fault(answer, expected):
        return fault
    if _same(answer, expected, exercise.within):
        return "right"
    hints = [hint for value, hint in exercise.mistakes if _same(answer, value(), exercise.within)]
    return f"not yet. {(hints or [exercise.hint])[0]}"


def _fault(answer: object, expected: object) -> str:
    """What is wrong with an answer's kind; empty where it can be compared."""
    if isinstance(expected, tuple):
        if not isinstance(answer, tuple) or len(answer) != len(expected):
            return f"give {len(expected)} values in round brackets"
        faults = [_fault(*pair) for pair in zip(answer, expected, strict=True)]
        return next(filter(None, faults), "")
    if isinstance(expected, str):
        return "" if isinstance(answer, str) else "give a word, in quotes"
    return "" if _number(answer) is not None else "give a number"


def _number(value: object) -> float | None:
    """A number, NumPy's and tensors of one entry among them."""
    if isinstance(value, bool | str):
        return None
    try:
        return float(value) if isinstance(value, Number) else float(value.item())  # type: ignore
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return None


def _same(answer: object, expected: object, within: float) -> bool:
    if isinstance(expected, tuple):
        if not isinstance(answer, tuple) or len(answer) != len(expected):
            return False
        return all(_same(a, e, within) for a, e in zip(answer, expected, strict=True))
    if isinstance(expected, str):
        return isinstance(answer, str) and answer.strip().casefold() == expected.casefold()
    one, other = _number(answer), _number(expected)
    return one is not None and other is not None and abs(one - other) <= within * abs(other)
