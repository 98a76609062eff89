"""The command ``nnc-book``: help, one-line errors, and what listing and verifying say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nnc import cli as library
from nnc_book import cli, records
from nnc_book.recipes import RECIPES

COMMANDS = (
    (),
    ("run",),
    ("search",),
    ("record",),
    ("record", "add"),
    ("record", "trials"),
    ("record", "list"),
    ("record", "verify"),
    ("data",),
)
EMPTY = "/no/such/folder"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words) or "nnc-book")
def test_every_command_has_help(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(" ".join(["usage: nnc-book", *command]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "lenet300-swz"], "did you mean 'lenet300-sws'"),
        (["run"], "recipe is missing"),
        (["run", "lenet300-sws", "--data", "mnist5k"], "did you mean 'mnist-5k'"),
        (["run", "lenet300-sws", "--set", "tau"], "must be NAME=VALUE"),
        (["run", "lenet300-sws", "--set", "tau=x"], "must be of type float"),
        (["record", "add", "/no/such/run"], "the run is not finished"),
        (["search", "lenet300-swz"], "did you mean 'lenet300-sws'"),
        (["record", "verify", "lenet300-swz"], "did you mean 'lenet300-sws'"),
        (["record", "trials", EMPTY], "has no finished trial, must be what nnc-book search wrote"),
        (["run", "lenet300-sws", "--data", "nothing"], "name is 'nothing'"),
        (["run", "lenet300-sws", "--set", "speed=1"], "must be NAME=VALUE with one of"),
        (["run", "lenet300-sws", "--set", "tau="], "must be NAME=VALUE"),
        (["run", "lenet300-sws", "--set", "batch_size=1.5"], "must be of type int"),
        (["run", "lenet300-sws", "--set", "batch_size=1e400"], "must be of type int"),
    ],
)
def test_what_is_wrong_is_one_line_and_status_two(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert told.err.startswith("nnc-book: ")
    assert told.err.count("\n") == 1
    assert told.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["record", "dance"],
        ["record"],
        ["search", "lenet300-sws", "--trials", "3"],
        ["run", "--seed", "x"],
    ],
)
def test_an_unknown_command_or_option_is_one_line_and_status_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_stop_by_the_user_is_status_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(records, "names", stop)
    assert cli.main(["record", "list"]) == 130
    assert capsys.readouterr().err == "nnc-book: stopped\n"


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "nnc_book", "run", "lenet300-swz"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


def test_recipes_and_records_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(RECIPES)
    assert cli.main(["record", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == records.names()


def test_a_recorded_network_can_be_inspected(capsys: pytest.CaptureFixture[str]) -> None:
    assert library.main(["inspect", str(records.FOLDER / "lenet300-sws" / "seed-0.sws")]) == 0
    assert "fc1.weight" in capsys.readouterr().out


def test_verifying_says_what_was_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["record", "verify", "--root", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{name}: right (files; its data set is not here)" for name in records.names()]


def test_verifying_finds_an_edit_and_a_missing_file(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied / "lenet300-sws.json"
    record = json.loads(path.read_text())
    record["runs"][0]["metrics"]["sparsity"] = 0.5
    path.write_text(json.dumps(record))
    (copied / record["runs"][1]["file"]).unlink()
    assert cli.main(["record", "verify", "lenet300-sws", "--root", str(tmp_path)]) == 1
    edited, missing = capsys.readouterr().out.splitlines()
    assert edited.startswith("lenet300-sws, seed 0: sparsity is recorded as 0.5, the file has ")
    assert missing == f"lenet300-sws, seed 1: {record['runs'][1]['file']} is missing"
