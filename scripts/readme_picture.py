"""Draw book/_static/first.png, the README's picture: a network as a code, and what it answers.

It is the network of the book's first page, read from the record.
"""

import numpy as np
import torch
from matplotlib.figure import Figure

from nnc.data import load
from nnc.models import LeNet5Caffe
from nnc.storage.qr import qr_code
from nnc_book import plots, records

TARGET = "book/_static/first.png"
RECIPE = "lenet5-kd-sws"

run = min(records.read(RECIPE)["runs"], key=lambda one: one["metrics"]["file_bytes"])
data = (records.FOLDER / run["file"]).read_bytes()
digits = load("mnist-5k").test
image = digits.images[int((digits.labels == 5).nonzero()[0])]
with torch.no_grad():
    network = records.network(RECIPE, run["seed"]).load_into(LeNet5Caffe())
    shares = torch.softmax(network(image[None] / 255), dim=1)[0]

ink, ground, tone = (plots.PALETTE[role]["light"] for role in ("weights", "ground", "student"))
figure = Figure(figsize=(9.2, 3.6), layout="constrained", facecolor=ground)
code, digit, chart = figure.subplots(1, 3, width_ratios=(1, 0.6, 0.8))
code.imshow(1 - np.array(qr_code(data).matrix), cmap="gray", interpolation="none")
code.set_title(f"a network of {len(data):,} bytes", color=ink)
digit.imshow(image[0], cmap="gray_r", interpolation="none")
digit.set_title("a digit", color=ink)
chart.barh(range(10), shares, color=tone)
chart.set(yticks=range(10), xticks=(), facecolor=ground, xlim=(0, 1))
chart.set_title("its answer", color=ink)
chart.invert_yaxis()
chart.spines[:].set_visible(False)
for axes in (code, digit):
    axes.axis("off")
figure.savefig(TARGET, dpi=160, metadata={"Software": None})
print(TARGET)
