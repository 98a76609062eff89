"""What a prior costs: the time of a step and of an epoch, and peak memory, without and with one.

    python benchmarks/prior.py                                  # everything, some minutes
    python benchmarks/prior.py --models lenet --steps 20        # one network
    python benchmarks/prior.py --precision bfloat16             # slow on processors without it
    OMP_NUM_THREADS=1 python benchmarks/prior.py --cpu-time     # on a machine shared with others

Every row is a process of its own, so that its peak memory is its own. Batches of 256 random
images, Adam for the network and for the mixture. The weights are set as they lie in a clustered
network (95 % within the zero component, the rest wide), and the zero component is as narrow as
its hyper-prior lets it become at that size, which is when the table is longest. An epoch is one
of ``nnc.fit`` over a few batches, the faster of two. At its end the pull of a prior is measured,
and the weights are assigned where there is a mixture, as recipes do; a real data set's epoch does
both as often and has more steps.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nnc import prunable_weights
from nnc.data import Split
from nnc.models import LeNet300100, count_parameters, mini_vgg, vgg13
from nnc.priors import GaussianMixturePrior
from nnc.pruning import quantise
from nnc.training import fit
from nnc_book.priors import GaussianPrior

BATCH = 256
EPOCH = 12  # batches
PRIORS = ("none", "L2", "exact", "tabulated")
MODELS = {"lenet": LeNet300100, "mini_vgg": mini_vgg, "vgg13": vgg13}
NARROWEST = {"lenet": 0.004, "mini_vgg": 0.0016, "vgg13": 0.0007}


def clustered_model(name: str) -> tuple[nn.Module, Tensor]:
    """The network, its weights drawn as in a clustered one, and a batch for it."""
    torch.manual_seed(0)
    model = MODELS[name]()
    with torch.no_grad():
        for weight in prunable_weights(model).values():
            wide = torch.rand_like(weight) < 0.05
            widths = torch.where(wide, 0.2, NARROWEST[name])
            weight.copy_((torch.randn_like(weight) * widths).clamp(-1, 1))
    return model, torch.rand(BATCH, *((1, 28, 28) if name == "lenet" else (3, 32, 32)))


def make_prior(kind: str, name: str) -> nn.Module | None:
    if kind == "none":
        return None
    if kind == "L2":
        return GaussianPrior(0.25)
    prior = GaussianMixturePrior(
        torch.linspace(-0.6, 0.6, 16), sigma=0.02, tabulated=kind == "tabulated"
    )
    with torch.no_grad():
        prior.log_precisions[0] = -2 * math.log(NARROWEST[name])
    return prior


def clock_of(options: argparse.Namespace) -> Callable[[], float]:
    return time.process_time if options.cpu_time else time.perf_counter


def fastest(step: Callable[[], None], options: argparse.Namespace) -> float:
    """Seconds of the fastest of some steps, after one to warm up."""
    clock = clock_of(options)
    step()
    times = []
    for _ in range(options.steps):
        start = clock()
        step()
        times.append(clock() - start)
    return min(times)


def measure(name: str, kind: str, options: argparse.Namespace) -> dict[str, float]:
    """Seconds of a training step, and of the prior's part alone, and peak memory in bytes."""
    model, images = clustered_model(name)
    labels = torch.randint(10, (BATCH,))
    prior = make_prior(kind, name)
    weights = list(prunable_weights(model).values())
    parameters = [*model.parameters(), *(prior.parameters() if prior else ())]
    optimiser = torch.optim.Adam(parameters, lr=1e-5)

    def step() -> None:
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bfloat16"):
            loss = nn.functional.cross_entropy(model(images), labels)
        if prior is not None:
            loss = loss + 1e-6 * prior(weights)
        loss.backward()
        optimiser.step()

    def penalty_alone() -> None:
        if prior is not None:
            prior(weights).backward()
            optimiser.zero_grad()

    seconds = fastest(step, options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "step": seconds,
        "epoch": min(epoch(name, prior, options) for _ in range(2)),
        "penalty": fastest(penalty_alone, options),
        "memory": peak * (1 if sys.platform == "darwin" else 1024),
        "weights": sum(w.numel() for w in weights),
        "parameters": count_parameters(model),
    }


def epoch(name: str, prior: nn.Module | None, options: argparse.Namespace) -> float:
    """Seconds of a short epoch of training, the assignment at its end included."""
    model, images = clustered_model(name)
    weights = list(prunable_weights(model).values())
    parameters = [*model.parameters(), *(prior.parameters() if prior else ())]
    split = Split((255 * images).byte().repeat(EPOCH, 1, 1, 1), torch.randint(10, (EPOCH * BATCH,)))
    clock = clock_of(options)
    start = clock()
    fit(
        model,
        split,
        optimiser=torch.optim.Adam(parameters, lr=1e-5),
        epochs=1,
        batch_size=BATCH,
        penalty=None if prior is None else lambda _: 1e-6 * prior(weights),
        prior=prior,
        progress=False,
    )
    if isinstance(prior, GaussianMixturePrior):
        quantise(model, prior)
    return clock() - start


def row_in_a_process(name: str, kind: str, options: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--row", name, kind]
    command += ["--steps", str(options.steps), "--precision", options.precision]
    command += ["--cpu-time"] * options.cpu_time
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def print_table(options: argparse.Namespace) -> None:
    threads = torch.get_num_threads()
    clock = "processor time" if options.cpu_time else "wall time"
    print(f"batch {BATCH}, {options.precision}, {threads} threads, {clock}, ", end="")
    print(f"fastest of {options.steps}")
    print("penalty: forward and backward of the prior alone; memory: the whole process at its peak")
    header = (
        "network      weights  prior       step ms   ÷ none  penalty ms  ÷ step of none  "
        "peak MB   ÷ none  epoch ÷ none"
    )
    print(header, "-" * len(header), sep="\n")
    for name in options.models:
        for kind in PRIORS:
            row = row_in_a_process(name, kind, options)
            if kind == "none":
                none = row
            print(
                f"{name:9} {row['weights']:>10,.0f}  {kind:9} {row['step'] * 1e3:>9.1f} "
                f"{row['step'] / none['step']:>8.2f} {row['penalty'] * 1e3:>11.2f} "
                f"{row['penalty'] / none['step']:>15.3f} {row['memory'] / 1e6:>8.0f} "
                f"{row['memory'] / none['memory']:>8.2f} {row['epoch'] / none['epoch']:>13.2f}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=NARROWEST, default=list(NARROWEST))
    parser.add_argument("--steps", type=int, default=5, help="timed steps a row (default 5)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--cpu-time", action="store_true", help="processor seconds, not wall time")
    parser.add_argument("--row", nargs=2, metavar=("MODEL", "PRIOR"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steps < 1:
        parser.error("--steps must be at least 1")
    if options.row:
        print(json.dumps(measure(*options.row, options)))
    else:
        print_table(options)


if __name__ == "__main__":
    main()
