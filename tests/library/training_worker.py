"""A small training run in a process of its own: to be killed, or started several times at once.

training_worker.py resume FOLDER   dropout, prior, scheduler and augmentation; goes on from FOLDER,
                                   says so on standard output at each step
training_worker.py steps FOLDER    twenty SGD steps in float64 with the prior; under torchrun too
"""

import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

import nnc
from nnc.training import checkpoints

torch.set_num_threads(1)
mode, folder = sys.argv[1], Path(sys.argv[2])
data = nnc.data.load("mnist-5k").train.take(torch.arange(640))
torch.manual_seed(1)
checkpoints.SECONDS_BETWEEN_SAVES = 0  # after every step, so that kills hit steps and saves alike


def sharing_of(prior, model):
    return nnc.SoftWeightSharing(
        model, examples=len(data), steps=240, tau=0.1, prior=prior, ramp=0.05
    )


def shift(images, generator):
    print("step", flush=True)
    return images.roll(int(torch.randint(-2, 3, (), generator=generator)), -1)


if mode == "resume":
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 32), nn.BatchNorm1d(32), nn.Dropout(0.5), nn.Linear(32, 10)
    )
    prior = nnc.GaussianMixturePrior(torch.linspace(-0.2, 0.2, 4), sigma=0.1)
    optimiser = torch.optim.Adam(
        [{"params": model.parameters(), "lr": 1e-3}, *prior.parameter_groups(1e-4, 1e-2)]
    )
    sharing = sharing_of(prior, model)
    history = nnc.fit(
        model,
        data,
        optimiser=optimiser,
        epochs=12,
        batch_size=32,
        penalty=sharing.penalty,
        prior=sharing,
        after_step=sharing.step,
        scheduler=torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=240),
        augment=shift,
        seed=3,
        checkpoint=folder / "checkpoint",
        run="worker",
        progress=False,
    )
    rows = [{key: value for key, value in row.items() if key != "seconds"} for row in history]
    torch.save([model.state_dict(), prior.state_dict(), rows], folder / "end")
else:
    accelerator = Accelerator(cpu=True)
    model = nnc.LeNet300100().double()
    prior = nnc.GaussianMixturePrior(torch.linspace(-0.2, 0.2, 4), sigma=0.1).double()
    optimiser = torch.optim.SGD([*model.parameters(), *prior.parameters()], lr=0.01)
    sharing = sharing_of(prior, model)
    nnc.fit(
        model,
        data,
        optimiser=optimiser,
        epochs=1,
        batch_size=32,
        penalty=sharing.penalty,
        prior=sharing,
        after_step=sharing.step,
        augment=shift,
        accelerator=accelerator,
        progress=False,
    )
    if accelerator.is_main_process:
        torch.save([model.state_dict(), prior.state_dict(), []], folder / "end")
