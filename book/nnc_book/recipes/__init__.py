"""Recorded experiments: one module per recipe, its settings and the function that runs it."""

from __future__ import annotations

from nnc.hints import did_you_mean
from nnc_book.recipes import digits, levers, mini_vgg_small, mnist_kd, original, students, vgg
from nnc_book.recipes.job import Job, Outcome, Recipe

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        *(vgg.RECIPE, *students.RECIPES, *original.RECIPES),
        *(*mini_vgg_small.RECIPES, *mnist_kd.RECIPES, *digits.RECIPES),
        levers.RECIPE,
    )
}

__all__ = ["RECIPES", "Job", "Outcome", "Recipe", "get"]


def get(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        ValueError: there is none; the nearest name is suggested.
    """
    if name not in RECIPES:
        hint = did_you_mean(name, RECIPES)
        raise ValueError(f"recipe is {name!r}, must be one of {', '.join(sorted(RECIPES))}{hint}")
    return RECIPES[name]
