"""The Gaussian mixture of soft weight-sharing, a prior over weights."""

from nnc.priors.mixture import Beta, Gamma, GaussianMixturePrior, HyperPriors, Mixture

__all__ = ["Beta", "Gamma", "GaussianMixturePrior", "HyperPriors", "Mixture"]
