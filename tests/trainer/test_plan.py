"""What a run would ask, counted without asking."""

from pathlib import Path
from typing import Never

import pytest

from tests.trainer.tiny_run import in_process, keep_ten_windows, tiny_settings
from trainer.labelling.base import Answer
from trainer.labelling.ledger import Entry, LabelLedger
from trainer.plan import plan
from trainer.progress import ProgressRecord, Stage
from trainer.recipe import train

OPENAI = {"base_url": "http://127.0.0.1:9/v1", "model": "judge"}


def files_of(folder: Path) -> dict[Path, bytes]:
    """Every file below a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_plan_counts_what_the_run_then_does(tmp_path: Path) -> None:
    """Windows, signatures, groups and questions are those of the run; afterwards nothing is left to be asked."""
    settings = tiny_settings(tmp_path)
    before = plan(settings)
    counts = train(settings, make_workers=in_process).counts
    after = plan(settings)
    assert (before.windows, before.signatures, before.groups) == (
        counts["windows"],
        counts["signatures"],
        counts["groups"],
    )
    assert (before.answers_to_ask, before.answers_remembered) == (counts["answers_asked"], 0)
    assert (after.answers_to_ask, after.answers_remembered) == (0, before.groups)
    assert before.labeller == "heuristic"
    assert (before.estimated_tokens, before.estimated_cost) == (0, 0.0)
    assert before.warnings == ()


def test_a_plan_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder, no answer, no artifact; a ledger with a line that was cut short stays as it is; no broker is asked."""

    def refuse(*_: object) -> Never:
        raise AssertionError("a plan publishes nothing")

    monkeypatch.setattr("trainer.recipe.check_publishable", refuse)
    settings = tiny_settings(tmp_path, publish=True)
    plan(settings)
    assert not (tmp_path / "work").exists()
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "labels.jsonl").write_text('{"group": "cut sh')
    before = files_of(tmp_path)
    plan(settings)
    assert files_of(tmp_path) == before


def test_tokens_are_those_of_the_prompts_and_prices_are_the_settings(tmp_path: Path) -> None:
    """An endpoint's questions have tokens; money only where a price is set; an endpoint that is down is not missed."""
    free = plan(tiny_settings(tmp_path, labeller="openai", openai=OPENAI))
    assert free.answers_to_ask == free.groups
    assert free.estimated_tokens > 300 * free.answers_to_ask
    assert free.estimated_cost is None
    prices = {"price_per_million_input_tokens": 2.0, "price_per_million_output_tokens": 10.0}
    priced = plan(tiny_settings(tmp_path, labeller="openai", openai={**OPENAI, **prices}))
    replies = 100 * priced.answers_to_ask
    expected = (2.0 * (priced.estimated_tokens - replies) + 10.0 * replies) / 1e6
    assert priced.estimated_cost == pytest.approx(expected, abs=1e-6)


def test_an_estimate_beyond_what_the_limits_leave_is_a_warning(tmp_path: Path) -> None:
    """Tokens and money that earlier runs have spent count; with enough left there is none."""
    prices = {"price_per_million_input_tokens": 1_000.0, "max_tokens_total": 2_000, "max_cost_total": 1.0}
    settings = tiny_settings(tmp_path, labeller="openai", openai={**OPENAI, **prices})
    ledger = settings.work_dir / "labels.jsonl"
    with LabelLedger(ledger) as held:
        held.append([Entry(Answer("g", "abstain", 0.0, labeller="x", tokens=500, cost=0.75), 0)])
    tokens, money = plan(settings).warnings
    assert "openai.max_tokens_total must leave about" in tokens
    assert "leaves 1500;" in tokens
    assert "openai.max_cost_total must leave about" in money
    assert "leaves 0.25;" in money
    assert plan(tiny_settings(tmp_path, labeller="openai", openai=OPENAI)).warnings == ()


def test_no_more_is_asked_than_the_budget(tmp_path: Path) -> None:
    """Where even the coarsest groups are too many, the budget bounds answers and tokens."""
    settings = tiny_settings(tmp_path, labeller="openai", openai=OPENAI, budget=16)
    whole = plan(settings)
    part = plan(settings.model_copy(update={"budget": 5}))  # below the least budget, since the system is tiny
    assert whole.groups == part.groups == whole.answers_to_ask == 9
    assert part.answers_to_ask == 5
    assert part.estimated_tokens == pytest.approx(whole.estimated_tokens * 5 / 9, abs=1)


def test_a_history_that_would_be_refused_is_counted_with_a_warning(tmp_path: Path) -> None:
    """The plan says what the run would say, and goes on."""
    settings = tiny_settings(tmp_path)
    keep_ten_windows(tmp_path / "target.jsonl")
    records: list[ProgressRecord] = []
    found = plan(settings, records.append)
    assert found.windows == 10
    assert "at least 16 distinct windows" in found.warnings[0]
    assert [record.name for record in records if isinstance(record, Stage)][-1] == "count answers"
