"""nnc/storage/sws.h, built with every warning and sanitizer, reads what Python reads."""

import subprocess
from pathlib import Path

import fuzz_reader
import pytest
import torch
from fuzz_reader import SOURCES, built, compared, differs, mutated, said
from storage_networks import chain, network

import nnc
from nnc.storage import dumps

ROOT = Path(__file__).parent.parent.parent
RECORDS = ROOT / "book" / "nnc_book" / "records"

pytestmark = pytest.mark.skipif(
    fuzz_reader.COMPILER is None, reason="there is no C compiler, so the C reader cannot be run"
)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return built(SOURCES / "read_all.c", tmp_path_factory.mktemp("c") / "read_all")


@pytest.fixture(scope="module")
def mutate(tmp_path_factory):
    return built(SOURCES / "mutate.c", tmp_path_factory.mktemp("c") / "mutate")


def agree(reader, files):
    found = said(reader, files)
    return [differs(*pair, 1 << 30) for pair in zip(files, found, strict=True)] == [""] * len(files)


@pytest.mark.parametrize("options", [["-Os"], ["-O3", "-DNDEBUG"], ["-O2", "-fshort-enums"]])
def test_it_compiles_without_a_warning(tmp_path, options):
    for source in (SOURCES / "read_all.c", SOURCES / "mutate.c"):
        built(source, tmp_path / source.stem, *options)
    # Where a program uses one function of it, the others are left out without a word.
    source = tmp_path / "some.c"
    source.write_text(
        "#define SWS_API static inline\n#define SWS_IMPLEMENTATION\n#include <sws.h>\n"
        "int main(void) { size_t room; return sws_need(NULL, 0, &room) != SWS_NO_SWS; }\n"
    )
    subprocess.run([built(source, tmp_path / "some", *options)], check=True)


def test_small_networks_of_every_kind_are_read(reader):
    files = fuzz_reader.bases()
    files += [dumps(network(shape, 9)) for shape in [(), (0, 4), (7,), (30, 40), (3, 2, 5, 5)]]
    files += [dumps(network((60, 70), levels, 0.5)) for levels in (1, 2, 3, 300, 65_536)]
    files += [dumps(chain()), dumps(chain(), precision="float16"), dumps(nnc.Quantised({}, {}, {}))]
    assert agree(reader, files)


def test_pieces_are_read(reader):
    codes = torch.zeros(2100, 1000, dtype=torch.int32)
    codes[5::97, 3::55] = 1
    large = nnc.Quantised({"w": codes}, {"w": torch.tensor([0.0, 1.0])}, {})
    assert agree(reader, [dumps(large)])


@pytest.mark.parametrize(
    "name", ["lenet300-sws", "lenet5-kd-sws", "lenet300-quantised", "mini-vgg-kd-sws", "mini-vgg"]
)
def test_recorded_networks_are_read(reader, name):
    """The same codes, codebooks and numbers, and the same bits as float32."""
    assert agree(reader, [(RECORDS / name / "seed-0.sws").read_bytes()])


def test_damaged_files_are_refused_or_read_exactly(reader, mutate, tmp_path):
    """`scripts/fuzz_reader.py` does the same for a million files."""
    assert "damaged" in mutated(mutate, 0, 3000, tmp_path / "kept")
    files = list(fuzz_reader.apart((tmp_path / "kept").read_bytes()))
    assert len(files) == 3000
    assert compared(reader, files[:1000]) == []


def test_every_truncation_and_every_flipped_bit_is_refused(reader):
    data = dumps(chain())
    files = [data[:length] for length in range(len(data))]
    for place in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        files.append(bytes(damaged))
    assert all(not lines[-1].startswith("= 0") for lines in said(reader, files))
