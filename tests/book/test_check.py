import nbformat
import pytest
import torch

from nnc_book import check
from nnc_book.check import _EXERCISES, _verdict
from nnc_book.check.exercise import Exercise, always

EVERY = [(chapter, number) for chapter, all_of in _EXERCISES.items() for number in all_of]


@pytest.mark.parametrize(("chapter", "number"), EVERY)
def test_right_answers_are_right_and_mistakes_get_their_own_hint(chapter, number):
    exercise = _EXERCISES[chapter][number]
    assert _verdict(exercise, exercise.expected()) == "right"
    for value, hint in exercise.mistakes:
        assert _verdict(exercise, value()) == f"not yet. {hint}"
    assert _verdict(exercise, None) == "no answer yet"
    assert _verdict(exercise, object()).startswith("give")


NUMBER = Exercise(always(50.0), "Think.", ((always(100.0), "That is twice as much."),))
WORD = Exercise(always("Yes"), "Think.")
PAIR = Exercise(always((1.0, "up")), "Think.")


@pytest.mark.parametrize("answer", [50, 50.5, 49.1, torch.tensor(50.0), torch.tensor([50])])
def test_a_number_may_be_off_by_its_tolerance(answer):
    assert _verdict(NUMBER, answer) == "right"


@pytest.mark.parametrize(
    ("exercise", "answer", "said"),
    [
        (NUMBER, 52, "not yet. Think."),
        (NUMBER, 99.0, "not yet. That is twice as much."),
        (NUMBER, float("nan"), "not yet. Think."),
        (NUMBER, True, "give a number"),
        (NUMBER, "50", "give a number"),
        (NUMBER, torch.zeros(2), "give a number"),
        (NUMBER, 1j, "give a number"),
        (WORD, " yes ", "right"),
        (WORD, "no", "not yet. Think."),
        (WORD, 1, "give a word, in quotes"),
        (PAIR, (1, "UP"), "right"),
        (PAIR, (2, "up"), "not yet. Think."),
        (PAIR, 1, "give 2 values in round brackets"),
        (PAIR, (1, 2, 3), "give 2 values in round brackets"),
        (PAIR, ("up", 1), "give a number"),
    ],
)
def test_what_is_said_of_an_answer(exercise, answer, said):
    assert _verdict(exercise, answer) == said


def test_a_line_for_every_answer(capsys):
    check.answers("why_compress", {3: 784, 1: None, 2: "?"})
    assert capsys.readouterr().out.splitlines() == [
        "1: no answer yet",
        "2: not checked here; exercises 1, 3 are",
        "3: not yet. So many columns there are; how many bits tell them apart?",
    ]


def test_solutions_that_are_wrong_fail():
    check.solution("train", 2, 78_400)
    with pytest.raises(AssertionError, match="train, exercise 2: not yet"):
        check.solution("train", 2, 19_600)
    with pytest.raises(ValueError, match="number is 9"):
        check.solution("train", 9, 1)
    with pytest.raises(ValueError, match="did you mean 'train'"):
        check.answers("trian", {})


def test_every_chapter_asks_for_its_answers_and_proves_them():
    from pathlib import Path

    book = Path(__file__).parents[2] / "book"
    for chapter, exercises in _EXERCISES.items():
        cells = nbformat.read(book / f"{chapter}.ipynb", as_version=4).cells
        text = "\n".join(cell.source for cell in cells)
        asked = ", ".join(f"{number}: None" for number in sorted(exercises))
        assert f'check.answers("{chapter}", {{{asked}}})' in text
        assert text.count("check.solution(") >= (1 if chapter == "storing" else len(exercises))
    assert {path.stem for path in book.glob("*.ipynb")} == set(_EXERCISES)
