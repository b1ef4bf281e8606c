"""`gputape estimate`: one job from options, a table of jobs, the articles' figures."""

import csv
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gputape.app.cli import main
from gputape.app.cli.estimate import significant
from gputape.app.cli.sizes import read

Run = Callable[..., Any]
LLAMA = ("--model", "llama-3.1-70b", "--gpu", "h100-sxm-80")
SERVED = ("--input-tokens", 1000, "--output-tokens", 500)
OFFLINE = (
    "id,model,gpu,n_gpus,precision,isl,osl,out_tok_s_total\n"
    "a,llama-3.1-8b,H100-SXM5-80GB,1,fp8,1000,1000,999\n"
    'b,"nobody\'s, model",H100-SXM5-80GB,1,fp8,1000,1000,999\n'
)
PUBLISHED = Path(__file__).parents[1] / "analysis/workload/published_memory.csv"


@pytest.fixture(autouse=True)
def _verb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(main.VERBS, "estimate", ("estimate", ""))


def figures(gputape: Run, *words: object) -> dict[str, dict[str, Any]]:
    """Return the rows of one job by figure."""
    ran = gputape("estimate", *words, "--format", "json")
    assert ran.code == 0, ran.err
    return {row["figure"]: row for row in ran.json}


def table(gputape: Run, kind: str, text: str) -> list[dict[str, str]]:
    """Return the rows that a table on stdin is answered with."""
    ran = gputape("estimate", "-", "--kind", kind, "--format", "csv", stdin=text)
    assert ran.code == 0, ran.err
    return list(csv.DictReader(io.StringIO(ran.out)))


def refused(gputape: Run, *words: object, stdin: str = "") -> str:
    """Return the one sentence with which words are refused."""
    ran = gputape("estimate", *words, stdin=stdin)
    assert ran.code == 2
    assert ran.out == ""
    sentence: str = ran.err.strip().splitlines()[-1]
    return sentence


# -- one job ----------------------------------------------------------------------------------


def test_a_training_run(gputape: Run) -> None:
    """Work is 6·N·D and attention; hours, speed and memory each lie inside their interval."""
    found = figures(gputape, *LLAMA, "--gpus", 512, "--tokens", "15T", "--seq-len", 8192)

    assert found["work"]["value"] == pytest.approx(7.32e24, rel=0.01)
    assert found["work"]["low"] == found["work"]["high"]
    assert 5e6 < found["GPU-hours"]["value"] < 9e6  # Meta took 7.0M for the same run
    assert found["wall time"]["value"] == pytest.approx(found["GPU-hours"]["value"] / 512, rel=1e-4)
    for row in found.values():
        assert row["low"] <= row["value"] <= row["high"]
    assert {row["unit"] for row in found.values()} == {
        "FLOP", "GPU-hours", "hours", "tokens/s", "GiB per GPU",
    }  # fmt: skip


def test_lora_takes_two_thirds_of_the_work(gputape: Run) -> None:
    """4·N·D instead of 6·N·D, beside the same attention."""
    whole, lora = (
        figures(gputape, *LLAMA, "--tokens", "50M", "--seq-len", 128, "--method", method)["work"]
        for method in ("full", "lora")
    )

    assert lora["value"] / whole["value"] == pytest.approx(2 / 3, rel=0.01)


def test_epochs_and_padding_count(gputape: Run) -> None:
    """Three times through the data, a fifth of it padding: 3.75 times the work."""
    plain = figures(gputape, *LLAMA, "--tokens", "50M")["work"]["value"]
    more = figures(gputape, *LLAMA, "--tokens", "50M", "--epochs", 3, "--padding", "20%")

    assert more["work"]["value"] == pytest.approx(3.75 * plain, rel=1e-4)


def test_serving(gputape: Run) -> None:
    """Tokens per second, TTFT, TPOT and memory, at the batch of the highest throughput."""
    found = figures(gputape, *LLAMA, *SERVED, "--precision", "fp8")
    rate, hours = found["speed"], found["GPU-hours"]

    assert rate["low"] < rate["value"] < rate["high"]
    assert hours["value"] == pytest.approx(8 * 1e6 / rate["value"] / 3600, rel=1e-4)
    assert hours["low"] == pytest.approx(8 * 1e6 / rate["high"] / 3600, rel=1e-4)
    assert {found[name]["unit"] for name in ("TTFT", "TPOT")} == {"ms"}
    assert found["memory"]["value"] < 80


def test_a_smaller_batch_waits_less(gputape: Run) -> None:
    """One sequence at once: fewer tokens per second, sooner each."""
    many, one = (
        figures(gputape, *LLAMA, *SERVED, "--precision", "fp8", "--batch", batch)
        for batch in (64, 1)
    )

    assert one["speed"]["value"] < many["speed"]["value"]
    assert one["TPOT"]["value"] < many["TPOT"]["value"]
    assert one["memory"]["value"] < many["memory"]["value"]


def test_a_model_by_its_figures(gputape: Run) -> None:
    """The stated figures are taken, the others assumed, and the assumption is said."""
    found = figures(
        gputape, "--params", "70B", "--active", "10B", "--layers", 80,
        "--gpu", "h100-sxm-80", "--tokens", "1T", "--seq-len", 1,
    )  # fmt: skip
    (shape,) = [a for a in found["work"]["assumptions"] if a["name"] == "shape"]

    assert found["work"]["value"] == pytest.approx(6e22, rel=0.01)
    assert "layers" not in shape["value"]
    assert "hidden" in shape["value"]
    assert "not stated" in shape["source"]


def test_what_does_not_fit_is_said(gputape: Run) -> None:
    """All states of a 70B model on one card: figures, with the warning beside the memory."""
    words = (*LLAMA, "--gpus", 1, "--tokens", "1B", "--method", "full")

    assert figures(gputape, *words)["memory"]["note"] == "of 80 GiB: does not fit"


def test_every_figure_names_its_sources(gputape: Run) -> None:
    """In json each row has its assumptions; under a table each stands once, with its source."""
    found = figures(gputape, *LLAMA, *SERVED)
    ran = gputape("estimate", *LLAMA, *SERVED)

    assert all(row["assumptions"] for row in found.values())
    for row in found.values():
        for assumption in row["assumptions"]:
            line = f"{assumption['name']} = {assumption['value']}: {assumption['source']}"
            assert ran.out.count(f"  {line}\n") == 1


def test_a_table_for_people(gputape: Run) -> None:
    """A line a figure, three digits, and what the ends are."""
    ran = gputape("estimate", *LLAMA, "--gpus", 512, "--tokens", "15T", "--seq-len", "8192")
    header, first, *_ = ran.out.splitlines()

    assert header.split() == ["figure", "value", "low", "high", "unit", "note"]
    assert first.split() == ["work", "7.32e+24", "7.32e+24", "7.32e+24", "FLOP"]
    assert "Llama-3.1-70B on 512 x h100-sxm-80; low to high: 80 % interval" in ran.out


def test_a_short_context_shortens_the_sequence(gputape: Run) -> None:
    """GPT-3 takes 2,048 tokens: the usual 4,096 would be refused, and nobody asked for them."""
    found = figures(gputape, "--model", "gpt-3-175b", "--gpu", "a100-80", "--tokens", "300B")

    assert 3.1e23 < found["work"]["value"] < 3.4e23


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--model", "llama-3.1-70x", "--gpu", "h100", "--tokens", "1T"), "did you mean llama-3.1"),
        (("--model", "llama-3.1-8b", "--gpu", "h1000", "--tokens", "1T"), "did you mean h100"),
        ((*LLAMA, "--tokens", "-5"), "'-5' must be above 0: write 15T"),
        ((*LLAMA, "--tokens", "lots"), "'lots' is no number: write 15T"),
        ((*LLAMA, "--tokens", "1e400"), "more than is meant"),
        ((*LLAMA, "--tokens", "1T", "--seq-len", "1M"), "at most 131,072"),
        ((*LLAMA, "--input-tokens", "200k", "--output-tokens", 1), "131072"),
        ((*LLAMA, "--tokens", "1T", "--gpus", 0), "'0' must be above 0"),
        ((*LLAMA, "--tokens", "1T", "--gpus", 1.5), "must be a whole number"),
        ((*LLAMA, "--tokens", "1T", "--gpus", "2M"), "1 to 1,000,000 GPUs"),
        ((*LLAMA, "--tokens", "1T", "--precision", "fp4"), "no fp4 arithmetic: it has bf16, fp16"),
        ((*LLAMA, "--tokens", "1T", "--precision", "int4"), "nobody trains in int4"),
        ((*LLAMA, "--tokens", "1T", "--optimizer", "sdg"), "no optimizer is called 'sdg'"),
        ((*LLAMA, *SERVED, "--precision", "fp4"), "no fp4 arithmetic: it has fp16"),
        ((*LLAMA, *SERVED, "--gpus", 1, "--precision", "bf16"), "on 1 x h100-sxm-80; on 2 it does"),
        ((*LLAMA, "--input-tokens", 10, "--output-tokens", 0.5), "writes at least 1"),
        ((*LLAMA, "--input-tokens", 10), "serving has both lengths"),
        ((*LLAMA, "--epochs", 2), "how many tokens does it train on?"),
        ((*LLAMA, "--tokens", "1T", "--batch", 8), "one job is one or the other"),
        (LLAMA, "what is to be done?"),
        ((*LLAMA, "--params", "7B", "--tokens", 1), "leave out --params"),
        (("--gpu", "h100", "--tokens", 1), "which model?"),
        (("--model", "llama-3.1-8b", "--tokens", 1), "on which GPU?"),
        (("--params", "7B", "--experts", 8, "--gpu", "h100", "--tokens", 1), "--active 37B"),
        (("--kind", "offline"), "--kind is of a table"),
        (("jobs.csv",), "which kind of rows?"),
        (("nowhere.csv", "--kind", "offline"), "can not read nowhere.csv"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused(gputape: Run, words: tuple[object, ...], sentence: str) -> None:
    """One sentence: what is wrong, and what would be right."""
    assert sentence in refused(gputape, *words)


# -- sizes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("15T", 15e12), ("70B", 70e9), ("70b", 70e9), ("1.5e12", 1.5e12), ("300k", 300e3),
        ("1,000,000", 1e6), ("8_192", 8192), (".5B", 5e8), ("4096", 4096), ("7 B", 7e9),
        ("-3", -3), ("many", None), ("1 000", None), ("1.2.3", None), ("", None), ("B", None),
    ],
)  # fmt: skip
def test_sizes(text: str, size: float | None) -> None:
    """Numbers as people write counts of tokens and parameters."""
    assert read(text) == size


@pytest.mark.parametrize(
    ("value", "shown"),
    [(7.3e24, "7.3e+24"), (13571.4, "13,571"), (33.28, "33.3"), (1.5, "1.50"), (0.0016, "0.0016"),
     (999_999, "999,999"), (93, "93"), (0, "0"), (100.2, "100")],
)  # fmt: skip
def test_three_digits(value: float, shown: str) -> None:
    """As many digits as an estimate is worth."""
    assert significant(value) == shown


# -- a table of jobs --------------------------------------------------------------------------


def test_each_row_keeps_its_columns_and_gets_five(gputape: Run) -> None:
    """Order kept; a row without a prediction has no numbers, and says why."""
    first, second = table(gputape, "offline", OFFLINE)

    assert list(first) == [
        *OFFLINE.splitlines()[0].split(","), "predicted", "low", "high", "unit", "note",
    ]  # fmt: skip
    assert (first["id"], second["id"], second["model"]) == ("a", "b", "nobody's, model")
    assert 0 < float(first["low"]) < float(first["predicted"]) < float(first["high"])
    assert first["unit"] == second["unit"] == "tokens/s"
    assert (second["predicted"], second["low"], second["high"]) == ("", "", "")
    assert second["note"].startswith("no shape is known of")


def test_measured_columns_are_not_read(gputape: Run) -> None:
    """Another measurement, or none, and the same prediction."""
    asked, other, gone = (
        table(gputape, "offline", text)[0]["predicted"]
        for text in (
            OFFLINE, OFFLINE.replace(",999", ",1"),
            OFFLINE.replace(",out_tok_s_total", "").replace(",999", ""),
        )
    )  # fmt: skip

    assert asked == other == gone


def test_a_spreadsheet_s_file(gputape: Run, tmp_path: Path) -> None:
    """A byte order mark, CRLF, empty lines, short rows and quotes."""
    text = '\ufeffmodel,gpu,"isl",osl,n_gpus\r\n\r\nllama-3.1-8b,"""no"" GPU",1,2\r\n'
    text += "llama-3.1-8b,H100,1000,1000\r\n"
    (tmp_path / "jobs.csv").write_bytes(text.encode())
    ran = gputape("estimate", tmp_path / "jobs.csv", "--kind", "offline", "--format", "json")
    odd, bare = ran.json

    assert (odd["gpu"], odd["n_gpus"], odd["predicted"]) == ('"no" GPU', "", None)
    assert bare["predicted"] > 0  # a bare H100 is the part that most servers have


def test_own_columns_are_not_lost(gputape: Run) -> None:
    """A table that has a `note` already keeps it under another name."""
    (row,) = table(gputape, "batch1", "model,gpu,note\nllama-3.1-8b,A100-SXM4-80GB,mine\n")

    assert (row["input_note"], row["unit"]) == ("mine", "tokens/s")
    assert row["predicted"]


@pytest.mark.parametrize(
    ("kind", "text", "sentence"),
    [
        ("offline", "model,isl,osl\n", "stdin has no column 'gpu', which a table of offline jobs"),
        ("offline", "model,gpu,osl\n", "no column 'isl'"),
        ("train-run", "model,accelerator\n", "no column 'tokens'"),
        ("train-throughput", "model\n", "no column 'accelerator'"),
        ("mlperf-lora", "accel\n", "no column 'gpus'"),
        ("online", "system,batch_size\n", "no column 'model_path'"),
        ("batch1", "gpu\n", "no column 'model'"),
        ("memory", "params\n", "no column 'model'"),
        ("memory", "", "stdin is empty: its first line would name the columns"),
        ("memory", "model,model\n", "two columns 'model'"),
        ("memory", "model\na,b\n", "line 2 has 2 cells, and the header 1"),
        ("memory", 'model\n"a\n', "is no CSV"),
    ],
)
def test_what_is_no_table_is_refused(gputape: Run, kind: str, text: str, sentence: str) -> None:
    """One sentence that names the missing column, the line, or the emptiness."""
    assert sentence in refused(gputape, "-", "--kind", kind, stdin=text)


def test_a_table_without_rows(gputape: Run) -> None:
    """A header alone is answered with a header."""
    ran = gputape("estimate", "-", "--kind", "batch1", "--format", "csv", stdin="model,gpu\n")

    assert (ran.code, ran.out) == (0, "model,gpu,predicted,low,high,unit,note\n")


def test_mlperf_tables_need_no_lengths(gputape: Run) -> None:
    """Their scenario and round tell them."""
    text = (
        "round,model,scenario,gpu,n_gpus,precision\n"
        "v5.0,llama2-70b-99,Offline,NVIDIA H200-SXM-141GB,8,\n"
    )

    assert float(table(gputape, "offline", text)[0]["predicted"]) > 10_000


def test_no_cluster_is_larger_than_the_largest(gputape: Run) -> None:
    """An absurd count of GPUs is no number, at once."""
    (row,) = table(gputape, "batch1", "model,gpu,n_gpus\nllama-3.1-8b,A100-SXM4-80GB,1e15\n")

    assert row["note"] == "n_gpus 1e15 is more than the GPUs of the largest cluster"


def test_numbers_that_overflow_are_no_number(gputape: Run) -> None:
    """A row that can not be reckoned with loses its numbers, and the table goes on."""
    text = "model,gpu,params\nllama-3.1-8b,A100-SXM4-80GB,1e400\nllama-3.1-8b,A100-SXM4-80GB,\n"
    first, second = table(gputape, "memory", text)

    assert first["note"].startswith("the figures of this row give no number")
    assert second["predicted"]


def test_a_thousand_rows_take_seconds(gputape: Run) -> None:
    """Published memory rows, repeated to a thousand: under 3 s, each with its own prediction."""
    header, *rows = PUBLISHED.read_text("utf-8").splitlines()
    text = "\n".join([header, *(rows * (1 + 1000 // len(rows)))[:1000], ""])
    began = time.monotonic()
    found = table(gputape, "memory", text)

    assert time.monotonic() - began < 3
    assert len(found) == 1000
    assert all(row["predicted"] for row in found)


@pytest.mark.parametrize("fmt", ["table", "json", "jsonl", "csv", "md"])
def test_every_format(gputape: Run, fmt: str, tmp_path: Path) -> None:
    """Both rows in each format, to stdout and to a file alike."""
    words = ("-", "--kind", "offline", "--format", fmt)
    ran = gputape("estimate", *words, stdin=OFFLINE)
    gputape("estimate", *words, "-o", tmp_path / "out", stdin=OFFLINE)

    assert ran.code == 0
    assert "nobody's, model" in ran.out
    assert "2 jobs, 1 without a prediction" in (ran.out if fmt in ("table", "md") else ran.err)
    assert (tmp_path / "out").read_text("utf-8").strip() in ran.out


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("train-run", "training_runs"), ("train-throughput", "training_throughput"),
        ("mlperf-lora", "mlperf_training"), ("offline", "inference_offline"),
        ("offline", "mlperf_inference"), ("online", "inference_online_silicon"),
        ("batch1", "inference_batch1"),
    ],
)  # fmt: skip
def test_the_tables_of_measurements(gputape: Run, shared: Path, kind: str, name: str) -> None:
    """Every row comes back in its order, and those of the kind have a prediction."""
    file = shared / f"workload/calib/{name}.csv"
    with file.open(encoding="utf-8", newline="") as text:
        given = list(csv.DictReader(text))
    ran = gputape("estimate", file, "--kind", kind, "--format", "csv")
    found = list(csv.DictReader(io.StringIO(ran.out)))

    assert [{name: row[name] for name in given[0]} for row in found] == given
    share = sum(bool(row["predicted"]) for row in found) / len(found)
    assert share > (0.98 if name not in ("mlperf_training", "mlperf_inference") else 0.3)
    assert all(row["predicted"] or row["note"] for row in found)


# -- the articles' figures --------------------------------------------------------------------


def test_the_articles_figures(gputape: Run) -> None:
    """What is printed, what is computed, the verdict, and a note beside all that is not right."""
    ran = gputape("estimate", "--figures", "--format", "json")
    rows = {row["id"]: row for row in ran.json}

    assert ran.code == 0
    assert rows["F25"]["computed"] == "mean of 5: 2.18 USD per GPU-hour"
    assert "2.27" in rows["F25"]["printed"]
    assert "leaves out CoreWeave's 1.80" in rows["F25"]["note"]
    assert all(row["note"] for row in rows.values() if row["verdict"] != "right")
    assert "32 right" in ran.err
