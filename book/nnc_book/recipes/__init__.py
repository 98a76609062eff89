"""Recorded experiments: a module for each kind of network, its settings and what runs them."""

from __future__ import annotations

from nnc.hints import did_you_mean
from nnc_book.recipes import lenets, mnist_kd, vgg, vgg_small
from nnc_book.recipes.job import Recipe

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for module in (vgg, vgg_small, mnist_kd, lenets)
    for recipe in module.RECIPES
}

__all__ = ["RECIPES", "Recipe", "get"]


def get(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        ValueError: there is none; the nearest name is suggested.
    """
    if name not in RECIPES:
        hint = did_you_mean(name, RECIPES)
        raise ValueError(f"recipe is {name!r}, must be one of {', '.join(sorted(RECIPES))}{hint}")
    return RECIPES[name]
