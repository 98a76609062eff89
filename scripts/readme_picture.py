"""Draw book/_static/result.png, the README's picture, from the record of lenet300-sws."""

from nnc_book import plots, records

TARGET = "book/_static/result.png"

film = records.arrays("lenet300-sws", "film")
figure = plots.joint(film["joint"][-1])
figure.savefig(TARGET, metadata={"Software": None})
print(TARGET)
