"""Priors over weights: the Gaussian (L2) and the Gaussian mixture of soft weight-sharing."""

from nnc.priors.mixture import (
    Beta,
    Gamma,
    GaussianMixturePrior,
    GaussianPrior,
    HyperPriors,
    Mixture,
)

__all__ = ["Beta", "Gamma", "GaussianMixturePrior", "GaussianPrior", "HyperPriors", "Mixture"]
