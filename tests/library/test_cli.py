"""The command ``nnc``: help, one-line errors, and what inspecting says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import nnc
from nnc import cli

COMMANDS = ((), ("pack",), ("unpack",), ("inspect",), ("qr",), ("export",))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words) or "nnc")
def test_every_command_has_help(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(" ".join(["usage: nnc", *command]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inspect", "/no/such/file"], "No such file"),
        (["inspect", "."], "Is a directory"),
        (["inspect", __file__], "test_cli.py: "),
    ],
)
def test_what_is_wrong_is_one_line_and_status_two(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert told.err.startswith("nnc: ")
    assert told.err.count("\n") == 1
    assert told.out == ""


@pytest.mark.parametrize("arguments", [[], ["dance"], ["pack"], ["pack", "a", "b", "--bits", "x"]])
def test_an_unknown_command_or_option_is_one_line_and_status_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "nnc", "inspect", "/no/such/file"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


def test_inspecting_shows_shapes_levels_and_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = torch.tensor([[0, 1, 0], [0, 0, 2]], dtype=torch.int32)
    book = torch.tensor([0.0, -1.0, 1.0])
    small = nnc.Quantised({"fc.weight": codes}, {"fc.weight": book}, {"fc.bias": torch.zeros(2)})
    nnc.save(small, tmp_path / "small.sws")
    assert cli.main(["inspect", str(tmp_path / "small.sws")]) == 0
    _, weight, bias, rest, total = capsys.readouterr().out.splitlines()
    # Six weights in two bits each: two bytes, and three numbers of a codebook.
    assert weight.split()[:7] == ["fc.weight", "2", "×", "3", "0.6667", "3", "raw"]
    assert bias.split()[:4] == ["fc.bias", "2", "as", "is"]
    assert rest.startswith("names, shapes, checksum")
    size = (tmp_path / "small.sws").stat().st_size
    assert total.startswith(f"{tmp_path / 'small.sws'}: {size} bytes, ")
