"""Networks of the VGG family on CIFAR-10: teachers, and their students.

All students see the same schedule of augmented views, have the same optimiser and number of
steps, and differ in the loss alone: labels, labels and the teacher, the teacher alone. Three more
networks are trained by the recipe of the repository that this book follows. Sources: Hinton,
Vinyals and Dean (2015); Smith and Topin, "Super-convergence" (2018), for the schedule; DeVries and
Taylor, "Improved regularization of convolutional neural networks with cutout" (2017); Beyer et
al., "Knowledge distillation: a good teacher is patient and consistent" (2022), for many views and
many epochs; okz12, "NeuralNetworkCompression".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from nnc import storage
from nnc.data import Split, split_validation
from nnc.files import atomic_write
from nnc.losses import soft_targets
from nnc.models import mini_vgg, vgg13
from nnc.training import Batch, Distillation, History, cross_entropy, evaluate, fit, predict
from nnc.training.loop import stream
from nnc_book.arrays import save_arrays
from nnc_book.augment import random_crop, random_flip
from nnc_book.calibration import instructive, reliability
from nnc_book.networks import vgg11, vgg16
from nnc_book.recipes import stages
from nnc_book.recipes.job import Job, Lesson, Recipe, Result, Settings
from nnc_book.teaching import Views, teacher_logits

# fmt: off
NETWORK: Settings = {
    "validation": 5000, "batch_size": 128,
    "warm_up": 0.2,  # share of the steps before the peak of the learning rate
    "momentum": 0.9, "weight_decay": 5e-4,  # Nesterov's; of matrices and kernels alone
    "averaging": 0.03,  # share of the steps, the last ones, over which weights are averaged
    "crop": 4,  # pixels padded by reflection before the crop
    "compute": "bfloat16",
}
TEACHER: Settings = NETWORK | {
    "epochs": 40, "learning_rate": 0.1,  # at the peak
    "cutout": 12,  # pixels of the side of the square that is greyed
    # Labels are not smoothed: that makes better networks and worse teachers (Müller, Kornblith
    # and Hinton, "When does label smoothing help?", 2019).
    "smoothing": 0.0,
    "kept_epochs": [10],  # after which the weights are kept, for a teacher that knows less
}
BASELINE: Settings = NETWORK | {
    "epochs": 64, "learning_rate": 0.2,
    "views": 32,  # epoch e sees view e mod 32
    "share": 1.0,  # of the training images, every class in proportion
    "labelled": 1.0,  # share of those whose labels are read
    "smoothing": 0.0,
    "teacher": "vgg13", "teacher_epoch": 0,  # 0: when it has learnt all
    "temperature": 8.0,  # the best of the trials
    "alpha": 0.0,  # weight of the teacher: 0 is the baseline, 1 reads no label
}
TAUGHT: Settings = BASELINE | {"alpha": 0.9}
TENTH: Settings = {"share": 0.1, "epochs": 256}
CHAIN: Settings = TAUGHT | {"epochs": 20, "learning_rate": 0.1}
ORIGINAL: Settings = {  # the repository has no validation images and 80 epochs
    "validation": 5000, "batch_size": 128, "epochs": 20,
    "learning_rate": 0.01,  # Adam's
    "temperature": 15.0, "alpha": 0.0,
    "compute": "bfloat16",
}
SCHEDULES = (4, 8, 16, 32)  # epochs, besides the baseline's
# Every network that is trained, by the name of its recipe.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Settings]] = {
    "vgg13": (vgg13, TEACHER),
    "mini-vgg": (mini_vgg, BASELINE),
    "mini-vgg-kd": (mini_vgg, TAUGHT),
    "mini-vgg-kd-unlabelled": (mini_vgg, BASELINE | {"alpha": 1.0}),
    "mini-vgg-kd-labelled-tenth": (mini_vgg, TAUGHT | {"labelled": 0.1}),
    "mini-vgg-tenth": (mini_vgg, BASELINE | TENTH),
    "mini-vgg-kd-tenth": (mini_vgg, TAUGHT | TENTH),
    "mini-vgg-smoothed": (mini_vgg, BASELINE | {"smoothing": 0.1}),
    "mini-vgg-kd-early": (mini_vgg, TAUGHT | {"teacher_epoch": 10}),
    "vgg16": (vgg16, TEACHER | {"epochs": 20}),
    "vgg13-kd": (vgg13, CHAIN | {"teacher": "vgg16"}),
    "vgg11-kd": (vgg11, CHAIN | {"teacher": "vgg13-kd"}),
    "mini-vgg-kd-chain": (mini_vgg, TAUGHT | {"teacher": "vgg11-kd"}),
    "mini-vgg-kd-vgg16": (mini_vgg, TAUGHT | {"teacher": "vgg16"}),
    "vgg13-original-recipe": (vgg13, ORIGINAL),
    "mini-vgg-original-recipe": (mini_vgg, ORIGINAL),
    "mini-vgg-kd-original-recipe": (
        mini_vgg, ORIGINAL | {"teacher": "vgg13-original-recipe", "alpha": 0.8},
    ),
    **{f"mini-vgg-{n}": (mini_vgg, BASELINE | {"epochs": n}) for n in SCHEDULES},
    **{f"mini-vgg-kd-{n}": (mini_vgg, TAUGHT | {"epochs": n}) for n in SCHEDULES},
}
# fmt: on


def teach(job: Job) -> Result:
    """Train the teacher; the record keeps its SHA-256 and what it says of the test images."""
    lesson, model, history = trained(job)
    network = keep(model, job.folder / "network.safetensors")
    scored = job.scored(lesson)
    logits = stages.answers(model, job, scored, job.kind)
    metrics = score(logits, scored.labels, job) | stages.describe(model)
    chosen = instructive(logits, scored.labels)
    kept = save_arrays(
        job.folder / "answers.npz",
        logits=logits.half().numpy(),
        labels=scored.labels.numpy().astype(np.uint8),
        chosen=chosen.numpy(),
        thumbnails=scored.images[chosen].numpy(),
    )
    return job.result(lesson, metrics, {"train": history}, network, kept, stored=False)


def learn(job: Job, stored: bool) -> Result:
    """Train a network, store it, read it back and score it, beside its teacher where it has one.

    Where there is no teacher yet, it is trained first.
    """
    lesson, model, history = trained(job)
    network = stages.store(model, job.folder)
    scored = job.scored(lesson)
    logits = predict(storage.load(network).load_into(job.build()), scored)
    metrics = {**score(logits, scored.labels, job), **stages.describe(model)}
    metrics["file_bytes"] = network.stat().st_size
    if "teacher" in job.settings:
        said = stages.answers(*teacher_of(job), scored, job.kind).argmax(dim=1)
        metrics["teacher_accuracy"] = stages.fraction(said == scored.labels)
        metrics["agreement"] = stages.fraction(said == logits.argmax(dim=1))
    kept = save_arrays(job.folder / "answers.npz", logits=logits.half().numpy())
    stored = stored and job.seed == 0
    return job.result(lesson, metrics, {"train": history}, network, kept, stored=stored)


def trained(job: Job) -> tuple[Lesson, nn.Module, History]:
    """What a network learns and on which views, and the network when it has learnt it."""
    if "momentum" not in job.settings:  # the repository's Adam
        lesson = learnt_as_original(job)
        return lesson, *train_as_original(job, lesson)
    lesson = learnt(job)
    return lesson, *train(job, lesson)


def teacher_of(job: Job) -> tuple[nn.Module, Job]:
    """The one teacher of all seeds, trained where it is not there yet, and its job."""
    build, settings = NETWORKS[job.settings["teacher"]]
    settings = settings | {"validation": job.settings["validation"]}
    its = job.beside(job.settings["teacher"], build, settings, seed=0)
    _, model, _ = trained(its)
    if epoch := job.settings.get("teacher_epoch"):
        its = dataclasses.replace(its, folder=its.folder / f"epoch-{epoch}")
        model.load_state_dict(safetensors.torch.load_file(its.folder / "network.safetensors"))
    return model, its


def learnt(job: Job) -> Lesson:
    """What a network learns, and on which views."""
    s, lesson = job.settings, job.lesson()
    lesson |= {"precision": s["compute"], "loss": partial(on_labels, smoothing=s["smoothing"])}
    if "views" not in s:
        return lesson | {"augment": partial(vary, crop=s["crop"], cutout=s["cutout"])}
    if s["share"] < 1:
        lesson["train"] = part(lesson["train"], s["share"])
    lesson["views"] = Views(lesson["train"], s["views"], crop=s["crop"], flip=True)
    if s["alpha"]:
        lesson["loss"] = taught_by(*teacher_of(job), job, lesson)
    return lesson


def part(split: Split, share: float) -> Split:
    """A share of the images, every class in proportion, the same for all."""
    return split_validation(split, round(share * len(split)), seed=1)[1]


def on_labels(logits: Tensor, batch: Batch, smoothing: float) -> Tensor:
    """Cross-entropy with a share of each label spread evenly over all classes."""
    return nn.functional.cross_entropy(logits, batch.labels, label_smoothing=smoothing)


def vary(images: Tensor, draws: torch.Generator, crop: int, cutout: int) -> Tensor:
    """Crops and mirrors, with a square of ``cutout`` pixels greyed around a place in each image."""
    images = random_flip(random_crop(images, crop, draws), draws)
    inside = []
    for side in images.shape[-2:]:
        centre = torch.randint(side, (len(images), 1), generator=draws)
        offset = torch.arange(side) - centre + cutout // 2
        inside.append((offset >= 0) & (offset < cutout))
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images.masked_fill(hole, 128)


def taught_by(
    teacher: nn.Module, its: Job, job: Job, lesson: Lesson
) -> Callable[[Tensor, Batch], Tensor]:
    """The loss of a student; of all images it learns what the teacher says, of some the labels."""
    s, split = job.settings, lesson["train"]
    folder = its.folder / f"views-{len(split)}"
    said = teacher_logits(teacher, lesson["views"], folder, job.progress, s["compute"])
    distilled = partial(Distillation, said, temperature=s["temperature"])
    if s["labelled"] == 1:
        return distilled(alpha=s["alpha"])
    soft = distilled(alpha=1.0)
    known = torch.randperm(len(split), generator=stream(1)) < round(s["labelled"] * len(split))

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        read = known[batch.indices].to(logits.device)
        hard = nn.functional.cross_entropy(logits[read], batch.labels[read], reduction="sum")
        hard = hard / max(1, int(read.sum()))
        return (1 - s["alpha"]) * hard + s["alpha"] * soft(logits, batch)

    return loss


def train(job: Job, lesson: Lesson) -> tuple[nn.Module, History]:
    """A network by the schedule that teachers and students share: the average of its last steps."""
    s = job.settings
    torch.manual_seed(job.seed)
    # Of one layout with the network that is trained: several times as fast to average.
    model = job.build().to(memory_format=torch.channels_last)
    steps = stages.steps(lesson, s["epochs"])
    keeping = get_ema_multi_avg_fn(1 - 1 / max(1, s["averaging"] * steps))
    averaged = AveragedModel(model, multi_avg_fn=keeping, use_buffers=True)
    kernels = [weight for weight in model.parameters() if weight.dim() > 1]
    others = [weight for weight in model.parameters() if weight.dim() <= 1]
    optimiser = torch.optim.SGD(
        [{"params": kernels, "weight_decay": s["weight_decay"]}, {"params": others}],
        lr=s["learning_rate"], momentum=s["momentum"], nesterov=True,
    )  # fmt: skip
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, s["learning_rate"], total_steps=steps, pct_start=s["warm_up"],
        anneal_strategy="linear", cycle_momentum=False,
    )  # fmt: skip

    def measure(epoch: int) -> dict[str, float]:
        if epoch in s.get("kept_epochs", ()):
            keep(averaged.module, job.folder / f"epoch-{epoch}" / "network.safetensors")
        validation, precision = lesson["validation"], lesson["precision"]
        return {"averaged_accuracy": evaluate(averaged.module, validation, precision=precision)}

    history = fit(
        model, **lesson, optimiser=optimiser, scheduler=scheduler, epochs=s["epochs"],
        prior=averaged, after_step=partial(averaged.update_parameters, model), measure=measure,
        **job.resuming("train"),
    )  # fmt: skip
    return averaged.module, history


def learnt_as_original(job: Job) -> Lesson:
    """The repository's way: no augmentation, one order, no factor T²."""
    s, lesson = job.settings, job.lesson()
    lesson |= {"shuffle": False, "precision": s["compute"]}
    if not s["alpha"]:
        return lesson
    images = lesson["train"]
    said = stages.answers(*teacher_of(job), images, f"plain-{len(images)}")

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        targets = soft_targets(said[batch.indices].to(logits), s["temperature"])
        soft = nn.functional.cross_entropy(logits / s["temperature"], targets)
        return (1 - s["alpha"]) * cross_entropy(logits, batch) + s["alpha"] * soft

    return lesson | {"loss": loss}


def train_as_original(job: Job, lesson: Lesson) -> tuple[nn.Module, History]:
    """By Adam, its rate divided by ten after 30 and 60 of the repository's 80 epochs."""
    s = job.settings
    torch.manual_seed(job.seed)
    model = job.build()
    optimiser = torch.optim.Adam(model.parameters(), lr=s["learning_rate"])
    steps = stages.steps(lesson, s["epochs"])
    drops = [3 * steps // 8, 6 * steps // 8]
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimiser, drops, gamma=0.1)
    options = {"optimiser": optimiser, "scheduler": scheduler, "epochs": s["epochs"]}
    return model, fit(model, **lesson, **options, **job.resuming("train"))


def keep(model: nn.Module, path: Path) -> Path:
    """Write a network that is too large for the records, and return its file."""
    state = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    atomic_write(path, safetensors.torch.save(state))
    return path


def score(logits: Tensor, labels: Tensor, job: Job) -> dict[str, float]:
    """Accuracy, cross-entropy in nats, calibration error, and accuracy class by class."""
    right = logits.argmax(dim=1) == labels
    of_class = [stages.fraction(right[labels == i]) for i in range(len(job.data.classes))]
    names = [f"accuracy_{name}" for name in job.data.classes]
    return {
        f"{job.kind}_accuracy": stages.fraction(right),
        f"{job.kind}_loss": nn.functional.cross_entropy(logits, labels).item(),
        "calibration_error": reliability(logits, labels).error(),
        **dict(zip(names, of_class, strict=True)),
    }


# As many trials for the baseline as for the taught student, at a schedule that is affordable.
_RATES = tuple(
    {"epochs": 8, "learning_rate": rate, "weight_decay": decay}
    for rate, decay in ((0.1, 5e-4), (0.2, 5e-4), (0.4, 5e-4), (0.2, 2e-4), (0.2, 1e-3))
)
_HEATS = tuple({"epochs": 8, "temperature": t, "alpha": 0.9} for t in (2.0, 4.0, 8.0, 16.0))
_TEACHING = (*_HEATS, {"epochs": 8, "temperature": 4.0, "alpha": 0.5})
_TRIALS = {"mini-vgg": _RATES, "mini-vgg-kd": _TEACHING}
_JPEG = "cifar10-jpeg"
# fmt: off
_HEADLINES = (  # whose networks the records hold; of the others they hold a SHA-256
    "mini-vgg", "mini-vgg-kd", "mini-vgg-kd-unlabelled", "mini-vgg-kd-labelled-tenth",
    "mini-vgg-kd-chain",
)
_SUMMARIES = {
    "vgg13": "the teacher: VGG-13 on labels, one run",
    "mini-vgg": "MiniVGG on labels: the baseline",
    "mini-vgg-kd": "MiniVGG on labels and on the teacher",
    "mini-vgg-kd-unlabelled": "MiniVGG on the teacher alone",
    "mini-vgg-kd-labelled-tenth": "MiniVGG on the teacher and a tenth of the labels",
    "mini-vgg-tenth": "MiniVGG on a tenth of the images",
    "mini-vgg-kd-tenth": "the same, distilled on that tenth",
    "mini-vgg-smoothed": "MiniVGG on smoothed labels",
    "mini-vgg-kd-early": "MiniVGG taught by the teacher after a quarter of its epochs",
    "vgg16": "VGG-16 on labels, the first of a chain",
    "vgg13-kd": "VGG-13 taught by VGG-16, the second",
    "vgg11-kd": "VGG-11 taught by that VGG-13, the third",
    "mini-vgg-kd-chain": "MiniVGG taught by that VGG-11, the last",
    "mini-vgg-kd-vgg16": "MiniVGG taught by VGG-16 at once",
    "vgg13-original-recipe": "VGG-13 by the original repository's recipe",
    "mini-vgg-original-recipe": "MiniVGG by the original repository's recipe",
    "mini-vgg-kd-original-recipe": "the same, distilled its way",
    **{f"mini-vgg-{n}": f"the baseline in {n} epochs" for n in SCHEDULES},
    **{f"mini-vgg-kd-{n}": f"the taught MiniVGG in {n} epochs" for n in SCHEDULES},
}
RECIPES = (
    *(Recipe(name, _SUMMARIES[name], _JPEG, build, settings,
             teach if name == "vgg13" else partial(learn, stored=name in _HEADLINES),
             _TRIALS.get(name, ()))
      for name, (build, settings) in NETWORKS.items()),
)
