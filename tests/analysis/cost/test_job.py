"""A job in words: what a file holds, what comes back, and what can not be."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputape.analysis.cost.job import from_toml, job, read, to_toml
from gputape.analysis.cost.limits import INCLUDES, interruption
from gputape.analysis.cost.stated import Buying, Job, TrainWork
from gputape.analysis.workload.models import models
from gputape.store.errors import BadInput

SMALL = {"name": "llama-3.1-8b"}
amounts = st.floats(min_value=1e-3, max_value=1e15, allow_nan=False)
words = st.text(min_size=1, max_size=12)
shapes = st.one_of(
    st.sampled_from(sorted(id_ for id_, one in models().items() if not one.encoder)).map(
        lambda name: {"name": name}),
    st.builds(
        lambda params, more: {"params": params} | more,
        st.integers(10**8, 10**13),
        st.fixed_dictionaries({}, optional={
            "active": st.integers(10**6, 10**8), "layers": st.integers(1, 200),
            "hidden": st.integers(128, 20_000), "heads": st.integers(1, 128),
            "kv_heads": st.integers(1, 128), "vocab": st.integers(100, 300_000),
            "max_context": st.integers(10**5, 10**7),
        }),
    ),
)  # fmt: skip
buying = st.fixed_dictionaries({}, optional={
    "options": st.lists(st.sampled_from(["on_demand", "spot"]), max_size=2),
    "term_months": st.integers(1, 60), "utilisation": st.floats(0.01, 1),
    "max_nodes": st.integers(1, 4096), "network": st.sampled_from(["known", "any"]),
    "deadline_hours": amounts, "budget_usd": amounts, "runs": amounts, "setup_hours": amounts,
    "disk_gib": amounts, "egress_gib": amounts,
    "interruption": st.sampled_from(["5%/month", "10%/day", "2.5%/hour"]),
    "save_minutes": amounts, "restart_minutes": amounts, "gpus": st.lists(words, max_size=3),
    "providers": st.lists(words, max_size=3), "region": words,
    "include": st.lists(st.sampled_from(INCLUDES), max_size=3),
})  # fmt: skip
works = st.one_of(
    st.tuples(st.just("train"), st.fixed_dictionaries({"tokens": amounts}, optional={
        "seq_len": st.integers(16, 1024), "epochs": amounts, "padding": st.floats(0, 0.9),
        "precision": st.sampled_from(["bf16", "fp8"]), "checkpointing": st.booleans(),
        "sharding": st.sampled_from(["ddp", "zero1", "zero2", "zero3"]),
        "optimizer": st.sampled_from(["adamw", "adamw_8bit"])})),
    st.tuples(st.just("finetune"), st.fixed_dictionaries({"tokens": amounts}, optional={
        "method": st.sampled_from(["lora", "qlora", "full", "dpo", "rl"])})),
    st.tuples(st.just("batch"), st.fixed_dictionaries({
        "requests": amounts, "input_tokens": st.floats(0, 500),
        "output_tokens": st.floats(1, 500)}, optional={"engine": words})),
    st.tuples(st.just("serve"), st.fixed_dictionaries({
        "requests_s": amounts, "input_tokens": st.floats(0, 500),
        "output_tokens": st.floats(1, 500)}, optional={
            "tpot_ms": amounts, "spike": st.floats(1, 10), "load": st.floats(0.01, 1),
            "spare": st.integers(0, 9)})),
)  # fmt: skip


@given(shape=shapes, work=works, buy=buying)
@settings(max_examples=150, deadline=None)
def test_a_job_comes_back_from_its_file(
    shape: dict[str, Any], work: tuple[str, dict[str, Any]], buy: dict[str, Any]
) -> None:
    """`from_toml(to_toml(job)) == job`, whatever it says, in any script."""
    made = job({"kind": work[0], "model": shape, "work": work[1], "buy": buy})

    assert from_toml(to_toml(made)) == made


def test_a_changed_job_is_written_as_changed() -> None:
    """The file is of the job, not of the words it was first said in."""
    made = job({"kind": "train", "model": SMALL, "work": {"tokens": 1e9}})
    changed = replace(made, work=TrainWork(tokens=2e9), buy=Buying(runs=3))

    assert from_toml(to_toml(changed)) == changed


def test_a_file_says_nothing_that_nobody_said() -> None:
    """Defaults are left out, so that a later program may improve them."""
    made = job({"kind": "finetune", "model": SMALL, "work": {"tokens": 5e7, "method": "lora"},
                "buy": {"deadline_hours": 36}})  # fmt: skip

    assert to_toml(made) == (
        'kind = "finetune"\n\n[model]\nname = "llama-3.1-8b"\n\n[work]\ntokens = 50000000.0\n'
        'method = "lora"\n\n[buy]\ndeadline_hours = 36.0\n'
    )


def test_pretraining_takes_a_quarter_at_most() -> None:
    """Without a deadline a pre-training run has 90 days, and nothing else has one."""
    run = job({"kind": "train", "model": SMALL, "work": {"tokens": 1e12}})
    tune = job({"kind": "finetune", "model": SMALL, "work": {"tokens": 1e6}})
    longer = replace(run, buy=Buying(deadline_hours=5000))

    assert (run.deadline_hours, tune.deadline_hours, longer.deadline_hours) == (2160, None, 5000)


def test_a_sequence_is_no_longer_than_the_context() -> None:
    """4,096 tokens, or all the context of a model that has less."""
    short = {"params": 1e9, "max_context": 2048}

    assert job({"kind": "train", "model": SMALL, "work": {"tokens": 1}}).seq_len == 4096
    assert job({"kind": "train", "model": short, "work": {"tokens": 1}}).seq_len == 2048


def said(**changed: Any) -> dict[str, Any]:
    tables = {"kind": "train", "model": SMALL, "work": {"tokens": 1e9}}
    return {name: table for name, table in (tables | changed).items() if table is not None}


@pytest.mark.parametrize(
    ("tables", "wrong"),
    [
        ({"kind": "pretrain"}, "kind is 'pretrain': one of train, finetune, batch, serve"),
        ({"kind": 3}, "kind is 3"),
        ({"extra": {}}, "a job knows no 'extra'"),
        ({"model": None}, "a job needs a model"),
        ({"model": {"name": "lama-3.1-8b"}}, "did you mean llama-3.1-8b"),
        ({"model": {"layers": 3}}, "needs params"),
        ({"model": {"name": "llama-3.1-8b", "params": 1e9}}, "give one of them"),
        ({"model": {"params": "7B"}}, "model.params is '7B': a number"),
        ({"model": {"params": 7e9, "layers": 2.5}}, "model.layers is 2.5: a whole number"),
        ({"model": "llama"}, r"model is 'llama': a table \[model\]"),
        ({"work": {}}, "work says no tokens: --tokens would"),
        ({"work": {"tokens": -1}}, "tokens, epochs and the sequence length must be above 0"),
        ({"work": {"tokens": float("nan")}}, "work.tokens is nan"),
        ({"work": {"tokens": True}}, "work.tokens is True"),
        ({"work": {"tokens": 1, "epocs": 3}}, "work knows no 'epocs'; did you mean epochs"),
        ({"work": {"tokens": 1, "precision": 8}}, "work.precision is 8: a word"),
        ({"work": {"tokens": 1, "precision": "fp7"}}, "no precision is called 'fp7'"),
        ({"work": {"tokens": 1, "optimizer": "adamv"}}, "did you mean adamw"),
        ({"work": {"tokens": 1, "method": "lora"}}, "lora is fine-tuning"),
        ({"work": {"tokens": 1, "method": "distill"}}, "needs a teacher"),
        ({"work": {"tokens": 1, "sharding": "zero4"}}, "one of ddp, zero1"),
        ({"work": {"tokens": 1, "checkpointing": 1}}, "true or false"),
        ({"work": {"tokens": 1, "seq_len": 200_000}}, "200,000 tokens are more than Llama-3.1-8B"),
        ({"kind": "finetune", "work": {"tokens": 1, "method": "pretrain"}}, "cost train"),
        ({"buy": {"options": ["spto"]}}, "did you mean spot"),
        ({"buy": {"options": 3}}, "a list of words"),
        ({"buy": {"include": ["market"]}}, "did you mean marketplace"),
        ({"buy": {"options": ["reserved"]}}, "--term 12m"),
        ({"buy": {"utilisation": 60}}, "--utilisation 0.6"),
        ({"buy": {"runs": 0}}, "runs is 0"),
        ({"buy": {"restart_minutes": -1}}, "restart_minutes is -1"),
        ({"buy": {"interruption": "5%"}}, "5%/month, 10%/day or 2%/hour"),
        ({"buy": {"deadline": 3}}, "did you mean deadline_hours"),
    ],
)
def test_what_can_not_be(tables: dict[str, Any], wrong: str) -> None:
    """Each mistake gets a sentence that says what would be right."""
    with pytest.raises(BadInput, match=wrong):
        job(said(**tables))


@pytest.mark.parametrize(
    ("work", "wrong"),
    [
        ({"requests_s": 0}, "requests are above 0"),
        ({"tpot_ms": 0}, "tpot_ms is 0"),
        ({"spike": 0.5}, "at least 1"),
        ({"load": 0}, "--load 0.4"),
        ({"spare": -1}, "spare is -1"),
        ({"input_tokens": 200_000}, "more than Llama-3.1-8B has context"),
    ],
)
def test_a_service_that_can_not_be(work: dict[str, Any], wrong: str) -> None:
    """Targets, demand and spikes have their bounds."""
    plain = {"requests_s": 1, "input_tokens": 10, "output_tokens": 10}
    with pytest.raises(BadInput, match=wrong):
        job(said(kind="serve", work=plain | work))


def test_an_encoder_writes_nothing() -> None:
    """A model without a decoder can not serve."""
    name = next(id_ for id_, one in models().items() if one.encoder)
    work = {"requests": 1, "input_tokens": 10, "output_tokens": 10}
    with pytest.raises(BadInput, match="is an encoder"):
        job(said(kind="batch", model={"name": name}, work=work))


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    """The file is named in what is wrong with it."""
    bad = tmp_path / "bad.toml"
    bad.write_text("kind = ")
    with pytest.raises(BadInput, match=r"bad.toml: not TOML"):
        read(bad)
    with pytest.raises(BadInput, match="can not read the job"):
        read(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("words", "share", "hours"),
    [("5%/month", 0.05, 720), ("10 % / day", 0.1, 24), ("2/hour", 0.02, 1)],
)
def test_interruptions_in_three_units(words: str, share: float, hours: float) -> None:
    """A share of instances in a month, a day or an hour."""
    assert interruption(words) == (pytest.approx(share), hours)


def test_only_training_trains() -> None:
    """A batch has no training to ask for."""
    work = {"requests": 1, "input_tokens": 10, "output_tokens": 10}
    made: Job = job(said(kind="batch", work=work))
    with pytest.raises(TypeError, match="trains nothing"):
        _ = made.training
