"""The priors: constants worked out by hand, independent densities, gradients, degenerate input."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, Normal

from nnc.priors import tabulated
from nnc.priors.mixture import (
    Beta,
    Gamma,
    GaussianMixturePrior,
    HyperPriors,
    Mixture,
)

SEVENTEEN = torch.linspace(-0.6, 0.6, 16, dtype=torch.float64)
WIDTHS = [0.25, 0.02, 0.004, 0.0016, 0.0006]


def make(
    *, zero: float = 0.05, others: float = 0.05, dtype: torch.dtype = torch.float64, **settings
) -> GaussianMixturePrior:
    """Seventeen components, unequal proportions, widths set by hand."""
    prior = GaussianMixturePrior(SEVENTEEN.to(dtype), **settings)
    with torch.no_grad():
        prior.log_precisions.fill_(-2 * math.log(others))
        prior.log_precisions[0] = -2 * math.log(zero)
        prior.mixing_logits.copy_(torch.linspace(-1, 1, 16))
    return prior


def some_weights(count: int = 4000, zero: float = 0.05, seed: int = 0) -> Tensor:
    """Most of them around zero, some far out, float64."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randn(count, generator=generator, dtype=torch.float64)
    draws[::2] *= zero
    draws[1::2] *= 0.3
    return draws.clamp(-1, 1)


def hyper_terms(prior: GaussianMixturePrior) -> Tensor:
    """Minus the log hyper-priors of the default setting, written out."""
    precisions = prior.log_precisions.exp()
    zero = 4999 * precisions[0].log() - 2 * precisions[0]
    return -zero - (249 * precisions[1:].log() - 0.1 * precisions[1:]).sum()


def reference(prior: GaussianMixturePrior, weights: Tensor) -> Tensor:
    """The penalty by torch's own mixture distribution and autograd."""
    pi_0 = torch.sigmoid(prior.logit_pi_0)[None]
    shares = torch.cat([pi_0, (1 - pi_0) * prior.mixing_logits.softmax(0)])
    means = torch.cat([torch.zeros(1, dtype=prior.means.dtype), prior.means])
    mixture = MixtureSameFamily(
        Categorical(shares), Normal(means, (-prior.log_precisions / 2).exp())
    )
    return -mixture.log_prob(weights.flatten()).sum() + hyper_terms(prior)


def gradients(penalty: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(penalty, tensors)


def central_difference(function, at: Tensor, step: float) -> Tensor:
    result = torch.zeros_like(at)
    for index in range(at.numel()):
        original = at.view(-1)[index].item()
        values = []
        for sign in (1, -1):
            at.view(-1)[index] = original + sign * step
            values.append(function().item())
        at.view(-1)[index] = original
        result.view(-1)[index] = (values[0] - values[1]) / (2 * step)
    return result


# ---------------------------------------------------------------------------------------------
# Constants worked out by hand


def two_components(tabulated: bool = False, **settings) -> GaussianMixturePrior:
    return GaussianMixturePrior(
        torch.tensor([1.0], dtype=torch.float64),
        sigma=0.5,
        pi_0=0.5,
        tabulated=tabulated,
        **settings,
    )


def test_two_weights_by_hand():
    # lambda = 4 for both. N(0 | 0, 1/4) = 2 / sqrt(2 pi) = 0.797884561 and
    # N(1 | 0, 1/4) = 0.797884561 exp(-2) = 0.107981933, so p(0) = p(1) = 0.452933247.
    data = -2 * math.log(0.452933247)
    hyper = -(4999 * math.log(4) - 2 * 4) - (249 * math.log(4) - 0.1 * 4)
    penalty = two_components()([torch.tensor([0.0, 1.0], dtype=torch.float64)])
    assert penalty.item() == pytest.approx(data + hyper, abs=1e-7)
    assert penalty.item() == pytest.approx(1.584021054 - 7266.872807167, abs=1e-6)


def test_slopes_by_hand():
    # At 0 the responsibilities are 1 : exp(-2), so r = 0.880797078, 0.119202922, and the slope is
    # r_1 lambda (0 - 1) = -0.476811688. At 1 it is the mirror image.
    weights = torch.tensor([0.0, 1.0, 0.5], dtype=torch.float64, requires_grad=True)
    (slopes,) = gradients(two_components()([weights]), weights)
    expected = torch.tensor([-0.476811688, 0.476811688, 0.0], dtype=torch.float64)
    torch.testing.assert_close(slopes, expected, atol=1e-9, rtol=0)


def test_mixture_gradients_by_hand():
    # Two weights at 0 and 1; r_1 = 0.119202922 at 0 and 0.880797078 at 1.
    prior = two_components()
    penalty = prior([torch.tensor([0.0, 1.0], dtype=torch.float64)])
    means, log_precisions, logits = gradients(penalty, *prior.parameters())
    # - sum r_1 lambda (w - mu_1) = - 0.119202922 * 4 * (0 - 1)
    assert means.tolist() == pytest.approx([0.476811688])
    # - sum r (1/2 - lambda (w - mu)² / 2) = - (1/2 - 0.119202922 * 2), and - (a - 1) + b lambda
    data = -0.5 + 2 * 0.119202922
    assert log_precisions.tolist() == pytest.approx([data - 4999 + 8, data - 249 + 0.4])
    # A softmax over one entry is constant.
    assert logits.tolist() == [0.0]


def test_learnt_share_by_hand():
    # Beta(3, 2) at pi_0 = 1/2: -(2 log 1/2 + log 1/2) = 3 log 2.
    weights = [torch.tensor([0.0, 1.0], dtype=torch.float64)]
    fixed, learnt = two_components(), two_components(hyper=HyperPriors(pi_0=Beta(3.0, 2.0)))
    penalty = learnt(weights)
    assert penalty.item() - fixed(weights).item() == pytest.approx(3 * math.log(2))
    # By the logit: - (a - 1)(1 - pi) + (b - 1) pi = -1/2 and, by symmetry, nothing from the data.
    (slope,) = gradients(penalty, learnt.logit_pi_0)
    assert slope.item() == pytest.approx(-0.5)
    assert "logit_pi_0" not in dict(fixed.named_parameters())


@pytest.mark.parametrize("evaluation", [False, True])
def test_scales_by_hand(evaluation):
    # Scales e^0.5 and e^-0.5 (log scales 1 and 0, mean removed), weights 3 and 2 of them: the
    # penalty is that of w / s, plus 3 · 0.5 - 2 · 0.5.
    plain, scaled = two_components(evaluation), two_components(evaluation, layers=2)
    with torch.no_grad():
        scaled.log_scales.copy_(torch.tensor([1.0, 0.0]))
    layers = [torch.tensor([0.1, -0.2, 0.9]).double(), torch.tensor([[0.4], [1.1]]).double()]
    divided = [layers[0] / math.exp(0.5), layers[1] / math.exp(-0.5)]
    assert scaled(layers).item() == pytest.approx(plain(divided).item() + 0.5)
    assert scaled.scales() == pytest.approx((math.exp(0.5), math.exp(-0.5)))
    assert plain.scales() == ()


def test_narrowest_zero_component():
    # n_0 weights of exactly zero: the best precision is (n_0 / 2 + a - 1) / b.
    prior = make()
    best = (1000 / 2 + 5000 - 1) / 2
    with torch.no_grad():
        prior.log_precisions[0] = math.log(best)
        prior.means.fill_(10.0)
    (slope,) = gradients(prior([torch.zeros(1000).double()]), prior.log_precisions)
    assert slope[0].item() == pytest.approx(0, abs=1e-6)


# ---------------------------------------------------------------------------------------------
# L2 is the one-component case


@pytest.mark.parametrize("evaluation", [False, True])
def test_gaussian_is_the_limit_of_the_mixture_prior(evaluation):
    weights = some_weights(20_000).requires_grad_()
    prior = GaussianMixturePrior(
        torch.tensor([0.5]).double(), sigma=0.3, pi_0=1 - 1e-12, tabulated=evaluation
    )
    (slopes,) = gradients(prior([weights]), weights)
    torch.testing.assert_close(slopes, weights.detach() / 0.09, atol=0.02, rtol=0)


# ---------------------------------------------------------------------------------------------
# Exact evaluation against an independent density and autograd


@pytest.mark.parametrize("zero", WIDTHS)
def test_exact_against_torch_distributions(zero):
    prior = make(zero=zero, tabulated=False)
    weights = some_weights(3000, zero).requires_grad_()
    parameters = [weights, *prior.parameters()]
    ours, theirs = prior([weights]), reference(prior, weights)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    for a, b in zip(gradients(ours, *parameters), gradients(theirs, *parameters), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * b.abs().max().item())


def test_exact_in_pieces(monkeypatch):
    prior = make(tabulated=False)
    weights = some_weights(1000).requires_grad_()
    tensors = [weights, *prior.parameters()]
    whole = gradients(prior([weights]), *tensors)
    monkeypatch.setattr(tabulated, "_piece", lambda device, components=1: 7)
    for a, b in zip(gradients(prior([weights]), *tensors), whole, strict=True):
        torch.testing.assert_close(a, b)


def test_exact_by_gradcheck():
    torch.manual_seed(0)
    parameters = [SEVENTEEN[::5], torch.rand(4).double() + 1, torch.rand(4).double()]
    layers = [torch.randn(3, 2).double(), torch.randn(4).double(), torch.empty(0).double()]
    arguments = [t.clone().requires_grad_() for t in (*parameters, *layers)]

    def penalty(means, log_precisions, log_proportions, *layers):
        padded = torch.cat([means.new_tensor([0.0]), means])[: len(log_precisions)]
        return tabulated.negative_log_density(
            layers, padded, log_precisions, log_proportions, tabulated=False
        )

    assert torch.autograd.gradcheck(penalty, arguments)


@pytest.mark.parametrize("evaluation", [False, True])
def test_float32_agrees_with_float64(evaluation):
    weights = some_weights(50_000, 0.004).requires_grad_()
    narrow = weights.detach().float().requires_grad_()
    prior, prior32 = (
        make(zero=0.004, dtype=dtype, tabulated=evaluation)
        for dtype in (torch.float64, torch.float32)
    )
    wide = gradients(prior([weights]), weights, *prior.parameters())
    single = gradients(prior32([narrow]), narrow, *prior32.parameters())
    for a, b in zip(single, wide, strict=True):
        assert a.dtype == torch.float32
        allowed = 1e-2 if evaluation and len(b) > 17 else 1e-4  # rounding may change the cell
        assert (a - b).abs().max() <= allowed * b.abs().max()


# ---------------------------------------------------------------------------------------------
# The table


def slope_errors(prior: GaussianMixturePrior, weights: Tensor) -> tuple[float, float]:
    """Largest error of the tabulated slopes, and the largest slope."""
    weights = weights.clone().requires_grad_()
    prior.tabulated = True
    assert tabulated._Grid.over([weights], prior.log_precisions) is not None
    (found,) = gradients(prior([weights]), weights)
    exact = prior.mixture().pull(weights)
    return (found - exact).abs().max().item(), exact.abs().max().item()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("pi_0", [0.97, 0.999, 0.9999])
@pytest.mark.parametrize("others", [0.25, 0.02])
@pytest.mark.parametrize("zero", WIDTHS)
def test_slope_error(zero, others, pi_0, dtype):
    # Densely where the zero component hands over, and far out, where the grid has to reach.
    near = torch.linspace(-10 * zero, 10 * zero, 50_001, dtype=torch.float64)
    weights = torch.cat([near, torch.linspace(-1, 1, 50_001, dtype=torch.float64)]).to(dtype)
    error, largest = slope_errors(make(zero=zero, others=others, pi_0=pi_0, dtype=dtype), weights)
    assert error <= 0.01 * largest


@pytest.mark.parametrize("zero", WIDTHS)
def test_documented_bound(zero):
    prior = make(zero=zero)
    weights = torch.linspace(-10 * zero, 10 * zero, 20_001, dtype=torch.float64)
    mixture = prior.mixture()
    shares, distance = mixture.responsibilities(weights), weights[:, None] - mixture.means
    forces = mixture.precisions * distance
    variance = (shares * forces**2).sum(-1) - (shares * forces).sum(-1) ** 2
    curvature = ((shares * mixture.precisions).sum(-1) - variance).abs().max().item()
    spacing = min(zero, 0.05) / tabulated.CELLS_PER_SIGMA
    error, _ = slope_errors(prior, weights)
    assert error <= spacing / 2 * curvature * 1.01
    # and the bound is no idle one
    assert error >= spacing / 2 * curvature * 0.5
    value = prior([weights]).item()
    prior.tabulated = False
    bound = len(weights) * spacing**2 / 8 * curvature
    assert abs(value - prior([weights]).item()) <= bound


@pytest.mark.parametrize("zero", WIDTHS)
def test_tabulated_gradients_of_the_mixture(zero, monkeypatch):
    # Against central differences of the exact penalty in float64.
    monkeypatch.setattr(tabulated, "NODES_PER_WEIGHT", 100)
    prior = make(zero=zero, hyper=HyperPriors(pi_0=Beta(2.0, 2.0)), layers=2)
    with torch.no_grad():
        prior.log_scales.copy_(torch.tensor([0.3, -0.1]))
    weights = some_weights(20_000, zero)
    layers = [weights[:15_000].view(150, 100), weights[15_000:]]
    found = gradients(prior(layers), *prior.parameters())
    assert tabulated._Grid.over(layers, prior.log_precisions) is not None
    prior.tabulated = False
    for (name, parameter), gradient in zip(prior.named_parameters(), found, strict=True):
        with torch.no_grad():
            step = 1e-3 * zero if name == "means" else 1e-5
            expected = central_difference(lambda: prior(layers), parameter.data, step)
        allowed = 1e-3 * expected.abs().max().item()
        torch.testing.assert_close(gradient, expected, rtol=0, atol=allowed, msg=name)


@pytest.mark.parametrize("width", WIDTHS)
def test_slope_error_between_narrow_clusters(width, monkeypatch):
    # All seventeen equally narrow: half-way between two, the slope changes its sign within less
    # than a cell, and no point may get the mean of both sides.
    monkeypatch.setattr(tabulated, "NODES_PER_WEIGHT", 100)
    weights = torch.linspace(-0.6, 0.6, 200_001, dtype=torch.float64)
    prior = make(zero=width, others=width)
    error, largest = slope_errors(prior, weights)
    assert error <= 0.01 * largest
    value = prior([weights])
    prior.tabulated = False
    assert abs((value - prior([weights])).item()) <= 1e-3 * len(weights)


@pytest.mark.parametrize("narrow", [False, True])
def test_one_interpolant(narrow, monkeypatch):
    # Value, slopes and gradients of the mixture belong together: at a fixed grid they pass
    # gradcheck, to a precision at which the exact slopes would not. When narrow, some of the
    # points lie between two clusters, in rough cells, where they are evaluated exactly.
    monkeypatch.setattr(tabulated, "NODES_PER_WEIGHT", 10_000)
    torch.manual_seed(1)
    parameters = [
        torch.tensor([0.0, -0.4, 0.5]),
        torch.tensor([10.0, 10.0, 10.0]) if narrow else torch.tensor([3.0, 2.0, 1.0]),
        torch.tensor([-0.1, -2.0, -3.0]),
    ]
    between = torch.cat([torch.linspace(0.2499, 0.2504, 11), torch.rand(19) - 0.5])
    layers = [torch.rand(5, 4), between if narrow else torch.randn(30), torch.empty(0, 3)]
    arguments = [t.double().requires_grad_() for t in (*parameters, *layers)]
    points = [t.detach() for t in arguments[3:]]
    grid = tabulated._Grid.over(points, parameters[1])
    components = tabulated._Components(arguments[:3], torch.float64)
    assert grid.sum(components, *grid.histogram(points))[2].any().item() == narrow

    def penalty(*arguments: Tensor) -> Tensor:
        return tabulated._Tabulated.apply(grid, *arguments)

    assert torch.autograd.gradcheck(penalty, arguments, eps=1e-7, atol=1e-4, rtol=1e-5)


def test_every_point_on_a_node():
    # Spacing 1/128 exactly, points on nodes: the value is exact, the last cell is in the table.
    log_precision = torch.tensor([2 * math.log(1.28)], dtype=torch.float64)
    zeros = torch.zeros(1).double()
    points = (torch.arange(-64, 65).double() / 128).requires_grad_()
    value = tabulated.negative_log_density([points], zeros, log_precision, zeros, tabulated=True)
    exact = tabulated.negative_log_density([points], zeros, log_precision, zeros, tabulated=False)
    torch.testing.assert_close(value, exact, rtol=1e-12, atol=0)
    (slopes,) = gradients(value, points)
    torch.testing.assert_close(slopes, 1.28**2 * points.detach(), atol=1.28**2 / 128, rtol=0)


@settings(deadline=None, max_examples=25)
@given(
    widths=st.lists(st.floats(0.003, 0.3), min_size=2, max_size=5),
    pi_0=st.floats(0.01, 0.9999),
    offset=st.floats(-5, 5),
    seed=st.integers(0, 2**31),
)
def test_both_evaluations_agree(widths, pi_0, offset, seed):
    generator = torch.Generator().manual_seed(seed)
    prior = GaussianMixturePrior(
        torch.randn(len(widths) - 1, generator=generator, dtype=torch.float64), pi_0=pi_0
    )
    weights = (some_weights(10_000, widths[0], seed) + offset).requires_grad_()
    with torch.no_grad():
        prior.log_precisions.copy_(-2 * torch.tensor(widths).log())
    results = []
    for prior.tabulated in (False, True):
        penalty = prior([weights])
        results.append((penalty, *gradients(penalty, weights, *prior.parameters())))
    (value, slopes, *mixture), (value_t, slopes_t, *mixture_t) = results
    assert (slopes - slopes_t).abs().max() <= 0.01 * slopes.abs().max()
    assert value_t.item() == pytest.approx(value.item(), rel=1e-4, abs=1)
    for a, b in zip(mixture, mixture_t, strict=True):
        assert (a - b).abs().max() <= 5e-3 * a.abs().max() + 1e-6


# ---------------------------------------------------------------------------------------------
# Properties


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), cut=st.integers(0, 500), evaluation=st.booleans())
def test_order_and_layers_do_not_matter(seed, cut, evaluation):
    prior = make(tabulated=evaluation)
    weights = some_weights(500, seed=seed)
    shuffled = weights[torch.randperm(500, generator=torch.Generator().manual_seed(seed))]
    whole = prior([weights]).item()
    assert prior([shuffled[:cut], shuffled[cut:]]).item() == pytest.approx(whole, rel=1e-10)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), evaluation=st.booleans())
def test_mirror_image(seed, evaluation):
    prior, mirror = make(tabulated=evaluation), make(tabulated=evaluation)
    with torch.no_grad():
        mirror.means.neg_()
    weights = some_weights(3000, seed=seed).requires_grad_()
    (slopes,) = gradients(prior([weights]), weights)
    (mirrored,) = gradients(mirror([-weights]), weights)
    allowed = 0.01 * slopes.abs().max().item() if evaluation else 1e-9
    torch.testing.assert_close(mirrored, slopes, atol=allowed, rtol=0)


@pytest.mark.parametrize("evaluation", [False, True])
def test_product_of_scales_is_fixed(evaluation):
    prior = make(tabulated=evaluation, layers=3)
    layers = [some_weights(2000, seed=s) for s in range(3)]
    with torch.no_grad():
        prior.log_scales.copy_(torch.tensor([0.4, -0.3, 0.2]))
    before = prior(layers)
    (gradient,) = gradients(before, prior.log_scales)
    assert gradient.sum().item() == pytest.approx(0, abs=1e-9 * gradient.abs().max().item())
    assert math.prod(prior.scales()) == pytest.approx(1)
    with torch.no_grad():
        prior.log_scales.add_(7.0)
    assert prior(layers).item() == pytest.approx(before.item(), rel=1e-9)


@pytest.mark.parametrize("evaluation", [False, True])
def test_backward_scales_and_repeats(evaluation):
    prior, weights = make(tabulated=evaluation), some_weights().requires_grad_()
    tensors = [weights, *prior.parameters()]
    plain = gradients(prior([weights]), *tensors)
    scaled = 0.25 * prior([weights])
    for _ in range(2):
        again = torch.autograd.grad(scaled, tensors, retain_graph=True)
        for a, b in zip(again, plain, strict=True):
            torch.testing.assert_close(a, b / 4)


@pytest.mark.parametrize("evaluation", [False, True])
def test_an_optimiser_lowers_the_penalty(evaluation):
    prior = make(tabulated=evaluation, dtype=torch.float32, hyper=HyperPriors(pi_0=Beta(9.0, 2.0)))
    weights = nn.Parameter(some_weights().float())
    groups = prior.parameter_groups(1e-3, 1e-2)
    assert [g["lr"] for g in groups] == [1e-3, 1e-2]
    assert sum(len(g["params"]) for g in groups) == len(list(prior.parameters()))
    optimiser = torch.optim.Adam([{"params": [weights], "lr": 1e-3}, *groups])
    history = []
    for _ in range(30):
        optimiser.zero_grad()
        penalty = prior([weights])
        penalty.backward()
        optimiser.step()
        history.append(penalty.item())
    assert history[-1] < history[0]
    assert sorted(history, reverse=True) == history


def test_state_travels():
    prior = make(layers=2, pi_0=0.9)
    other = GaussianMixturePrior(torch.zeros(16).double(), layers=2)
    other.load_state_dict(prior.state_dict())
    layers = [some_weights(), some_weights(seed=1)]
    assert other(layers).item() == prior(layers).item()


# ---------------------------------------------------------------------------------------------
# Mixture


def test_mixture_of_the_prior():
    prior = make(zero=0.004, dtype=torch.float32)
    mixture = prior.mixture()
    assert mixture.means.dtype == torch.float64
    assert not mixture.means.requires_grad
    assert mixture.means[0] == 0
    assert mixture.sigmas[:2].tolist() == pytest.approx([0.004, 0.05], rel=1e-5)
    assert mixture.proportions.sum().item() == pytest.approx(1, abs=1e-6)
    assert mixture.proportions[0].item() == pytest.approx(0.999, abs=1e-6)
    ratio = (mixture.proportions[16] / mixture.proportions[1]).item()
    assert ratio == pytest.approx(math.exp(2), rel=1e-5)


def test_mixture_against_the_penalty():
    prior, weights = make(tabulated=False), some_weights().view(40, 100).requires_grad_()
    penalty, mixture = prior([weights]), prior.mixture()
    total = -mixture.log_density(weights).sum() + hyper_terms(prior)
    assert penalty.item() == pytest.approx(total.item())
    torch.testing.assert_close(mixture.pull(weights), gradients(penalty, weights)[0])


def test_mixture_shapes_and_kinds_of_input():
    mixture = make().mixture()
    assert mixture.responsibilities(torch.zeros(3, 2)).shape == (3, 2, 17)
    assert mixture.pull(0.3).shape == ()
    assert mixture.log_density([0, 1]).shape == (2,)
    assert mixture.log_density(torch.empty(0)).shape == (0,)
    shares = mixture.responsibilities(torch.linspace(-1, 1, 101))
    torch.testing.assert_close(shares.sum(-1), torch.ones(101).double())


def test_mixture_is_finite_at_the_extremes():
    mixture = make(zero=1e-4).mixture()
    x = torch.tensor([-1e6, -1.0, 0.0, 1e-300, 1.0, 1e6])
    for values in (mixture.log_density(x), mixture.responsibilities(x), mixture.pull(x)):
        assert values.isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [], []), "means is [], must be a list of at least one number, all finite"),
        (([0.0, math.nan], [1.0, 1.0], [0.5, 0.5]), "must be a list of at least one"),
        (([0.0], [1.0, 1.0], [1.0]), "equally many: [1, 2, 1]"),
        (([0.0], [0.0], [1.0]), "least of precisions is 0.0, must be positive"),
        (([0.0, 1.0], [1.0, 1.0], [0.5, 0.25]), "sum of proportions is 0.75, must be 1"),
        (([0.0, 1.0], [1.0, 1.0], [1.5, -0.5]), "least of proportions is -0.5, must be at least 0"),
    ],
)
def test_mixture_checks_its_arguments(arguments, message):
    with pytest.raises(ValueError, match=r"\A[^\n]*\Z") as caught:
        Mixture(*arguments)
    assert message in str(caught.value)


# ---------------------------------------------------------------------------------------------
# Degenerate weights


@pytest.mark.parametrize("evaluation", [False, True])
@pytest.mark.parametrize(
    "weights",
    [
        torch.zeros(5),
        torch.full((7, 2), 0.3),
        torch.full((9,), 1e6),
        torch.tensor(0.2),
        torch.tensor([-1e6, 0.0, 1e6]),
        torch.tensor([1e6, 1e6 + 0.0625]),
        torch.linspace(-1, 1, 12).view(3, 4).t(),
        torch.linspace(-1, 1, 48).view(2, 3, 4, 2).to(memory_format=torch.channels_last),
        torch.linspace(-1, 1, 20).view(4, 5)[:, ::2],
    ],
    ids=str,
)
def test_odd_weights(evaluation, weights):
    prior = make(zero=0.01, tabulated=evaluation)
    weights = weights.detach().double().requires_grad_()
    penalty = prior([weights])
    assert penalty.item() == pytest.approx(reference(prior, weights).item(), rel=1e-4)
    (slopes,) = gradients(penalty, weights)
    exact = prior.mixture().pull(weights)
    torch.testing.assert_close(slopes, exact, rtol=1e-9, atol=0.01 * exact.abs().max().item() + 1)


@pytest.mark.parametrize("order", ["transposed", "channels last"])
def test_no_slope_changes_its_place(order):
    prior = make(zero=0.05)
    weights = some_weights(4800).float().view(8, 6, 10, 10)
    if order == "transposed":
        weights = weights.transpose(0, 2)
    else:
        weights = weights.to(memory_format=torch.channels_last)
    strided = weights.detach().requires_grad_()
    plain = weights.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    (a,), (b,) = (gradients(prior([w]), w) for w in (strided, plain))
    assert torch.equal(a, b)
    assert a.stride() == strided.stride()


@pytest.mark.parametrize("evaluation", [False, True])
def test_empty_tensors(evaluation):
    prior = make(tabulated=evaluation)
    empty, weights = torch.empty(0, 3).double(), some_weights()
    assert prior([empty]).item() == pytest.approx(hyper_terms(prior).item())
    both = [empty.requires_grad_(), weights.requires_grad_()]
    slopes = gradients(prior(both), *both)
    assert slopes[0].shape == (0, 3)
    assert torch.equal(slopes[1], gradients(prior([weights]), weights)[0])


@pytest.mark.parametrize("evaluation", [False, True])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_show_in_the_penalty(evaluation, bad):
    prior = make(tabulated=evaluation)
    weights = some_weights()
    weights[17] = bad
    penalty = prior([some_weights(), weights.requires_grad_()])
    assert not penalty.isfinite()
    penalty.backward()


@pytest.mark.parametrize("bad", [math.nan, math.inf, 2000.0])
def test_a_mixture_that_is_not_finite_shows_in_the_penalty(bad):
    prior = make()
    with torch.no_grad():
        prior.log_precisions[3] = bad
    assert not prior([some_weights()]).isfinite()


def test_no_absurd_table():
    # One weight far out: everything is evaluated exactly instead.
    prior, weights = make(dtype=torch.float32), some_weights().float()
    weights[0] = 1e6
    assert tabulated._Grid.over([weights], prior.log_precisions) is None
    exact = make(dtype=torch.float32, tabulated=False)
    assert prior([weights]).item() == exact([weights]).item()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights(dtype):
    prior = make(dtype=torch.float32)
    weights = some_weights().to(dtype).requires_grad_()
    penalty = prior([weights])
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(prior([weights.float()]).item())
    assert gradients(penalty, weights)[0].dtype == dtype


@pytest.mark.parametrize("evaluation", [False, True])
def test_autocast_changes_nothing(evaluation):
    prior = make(dtype=torch.float32, tabulated=evaluation)
    weights = some_weights().float().requires_grad_()
    plain = prior([weights])
    with torch.autocast("cpu", torch.bfloat16):
        automatic = prior([weights])
    assert automatic.item() == plain.item()
    assert torch.equal(gradients(automatic, weights)[0], gradients(plain, weights)[0])


def test_without_gradients():
    prior, weights = make(), some_weights()
    with torch.no_grad():
        quiet = prior([weights])
    penalty = prior([weights])
    assert penalty.item() == quiet.item()
    penalty.backward()
    assert prior.means.grad is not None


# ---------------------------------------------------------------------------------------------
# Arguments


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Gamma(0, 1), "Gamma shape is 0, must be a positive finite number"),
        (lambda: Gamma(1, math.inf), "Gamma rate is inf, must be a positive finite number"),
        (lambda: Beta(-1, 1), "Beta a is -1, must be a positive finite number"),
        (lambda: Beta(1, 0), "Beta b is 0, must be a positive finite number"),
        (lambda: GaussianMixturePrior(torch.empty(0)), "must be a list of at least one"),
        (lambda: GaussianMixturePrior(torch.zeros(2, 2)), "must be a list of at least one"),
        (lambda: GaussianMixturePrior(torch.tensor(1.0)), "must be a list of at least one"),
        (lambda: GaussianMixturePrior([1.0, math.nan]), "means is [1.0, nan], must be a list"),
        (
            lambda: GaussianMixturePrior([1.0], sigma=-1),
            "sigma is -1, must be a positive finite number",
        ),
        (lambda: GaussianMixturePrior([1.0], pi_0=1.0), "must be between 0 and 1"),
        (lambda: GaussianMixturePrior([1.0], pi_0=math.nan), "must be between 0 and 1"),
        (lambda: GaussianMixturePrior([1.0], layers=0), "layers is 0, must be at least 1"),
        (lambda: make()([]), "weights must hold at least one tensor, got none"),
        (lambda: make()(torch.zeros(3)), "weights must be a sequence of tensors"),
        (
            lambda: make()([torch.zeros(3, dtype=torch.int64)]),
            "weight is torch.int64 of shape (3,) on cpu, must be floating",
        ),
        (
            lambda: make(layers=2)([torch.zeros(3)]),
            "number of weights is 1, must be 2, one per scale",
        ),
        (
            lambda: make()([torch.zeros(3, device="meta")]),
            "on meta, must be on cpu as the prior",
        ),
    ],
)
def test_arguments_are_checked(build, message):
    with pytest.raises(ValueError, match=r"\A[^\n]*\Z") as caught:
        build()
    assert message in str(caught.value)


def test_means_of_whole_numbers():
    prior = GaussianMixturePrior(torch.tensor([-1, 1]))
    assert prior.means.dtype == torch.float32
    assert GaussianMixturePrior([-1.0, 1.0]).double()([torch.zeros(3)]).dtype == torch.float64
