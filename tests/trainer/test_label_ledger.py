import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.errors import TrainerError
from trainer.labelling.base import Answer, Label, Spending
from trainer.labelling.ledger import Entry, LabelLedger


def _answer(number: int, label: Label = "normal", labeller: str = "llm") -> Answer:
    return Answer(f"g{number}", label, 0.75, ("e1",), "said so", labeller, f"hash{number}", 12)


def _write(path: Path, *answers: Answer) -> None:
    with LabelLedger(path) as ledger:
        ledger.append(Entry(answer, 1, ("g9",)) for answer in answers)


def test_answers_are_found_again_by_labeller_and_question(tmp_path: Path) -> None:
    """A later run finds an answer exactly as it was, and none of another labeller."""
    path = tmp_path / "work" / "labels.jsonl"
    _write(path, _answer(1), _answer(2, "abstain"))
    with LabelLedger(path) as ledger:
        assert len(ledger) == 2
        assert ledger.find("llm", "hash1") == _answer(1)
        assert ledger.find("heuristic", "hash1") is None
        assert ledger.find("llm", "hash3") is None


def test_an_answer_is_kept_once(tmp_path: Path) -> None:
    """Appending the same answer again writes nothing."""
    path = tmp_path / "labels.jsonl"
    _write(path, _answer(1), _answer(1))
    _write(path, _answer(1))
    assert len(path.read_text().splitlines()) == 1


@given(st.integers(min_value=1, max_value=400))
def test_a_crash_at_any_byte_costs_at_most_the_last_answer(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """A file cut short anywhere opens, holds the whole lines, and takes new answers after them."""
    path = tmp_path_factory.mktemp("ledger") / "labels.jsonl"
    _write(path, *(_answer(number) for number in range(3)))
    content = path.read_bytes()
    kept = content[: max(0, len(content) - cut)]
    path.write_bytes(kept)
    with LabelLedger(path) as ledger:
        assert len(ledger) == kept.count(b"\n")
        ledger.append([Entry(_answer(7), 1)])
    with LabelLedger(path) as ledger:
        assert ledger.find("llm", "hash7") == _answer(7)
        assert len(ledger) == kept.count(b"\n") + 1


def test_a_revoked_answer_is_asked_for_again(tmp_path: Path) -> None:
    """Revocation is a line of its own: history stays, the answer is gone, and a new one can come."""
    path = tmp_path / "labels.jsonl"
    _write(path, _answer(1), _answer(2))
    with path.open("a") as file:
        file.write('{"by": "operator", "revoked": "hash1"}\n{"by": "operator", "revoked": "unknown"}\n')
    with LabelLedger(path) as ledger:
        assert ledger.find("llm", "hash1") is None
        assert len(ledger) == 1
        ledger.append([Entry(_answer(1, "anomalous"), 2)])
    with LabelLedger(path) as ledger:
        found = ledger.find("llm", "hash1")
        assert found is not None
        assert found.label == "anomalous"
    assert [json.loads(line).get("by") for line in path.read_text().splitlines()].count("operator") == 2


@pytest.mark.parametrize("line", ["[]", '{"group": "g"}', "not json", '{"group": 1, "label": "maybe"}', "\x00"])
def test_a_line_that_is_no_answer_is_passed_over(tmp_path: Path, line: str) -> None:
    """Foreign lines do not stop a run and do not become answers."""
    path = tmp_path / "labels.jsonl"
    _write(path, _answer(1))
    with path.open("a") as file:
        file.write(line + "\n")
    with LabelLedger(path) as ledger:
        assert len(ledger) == 1


def test_what_a_model_learned_from_is_noted(tmp_path: Path) -> None:
    """The ledger names the artifact that learned from it, and that line is no answer."""
    path = tmp_path / "labels.jsonl"
    with LabelLedger(path) as ledger:
        ledger.learned("abc", 3)
    assert json.loads(path.read_text()) == {"learned_by": "abc", "groups": 3}
    with LabelLedger(path) as ledger:
        assert len(ledger) == 0


def test_a_ledger_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Its answers were paid for: they are found under their labeller, and what was revoked stays revoked."""
    path = tmp_path / "labels.jsonl"
    path.write_bytes((Path(__file__).parent / "data" / "ledger_0_1.jsonl").read_bytes())
    with LabelLedger(path) as ledger:
        found = ledger.find("openai:qwen-plus", "hash1")
        assert found == Answer("g1", "anomalous", 0.75, ("e1",), "disk gone", "openai:qwen-plus", "hash1", 120)
        assert ledger.find("openai:qwen-plus", "hash2") is None
        ledger.append([Entry(_answer(3), 2)])
    with LabelLedger(path) as ledger:
        assert len(ledger) == 2


def test_two_runs_cannot_share_a_ledger(tmp_path: Path) -> None:
    """The error of the second names the folder; once the first has ended, it may."""
    with LabelLedger(tmp_path / "labels.jsonl") as ledger:
        ledger.append([Entry(_answer(1), 0)])
        with pytest.raises(TrainerError, match="work_dir must be used by one training run at a time"):
            LabelLedger(tmp_path / "labels.jsonl")
    with LabelLedger(tmp_path / "labels.jsonl") as again:
        assert len(again) == 1


def test_what_was_spent_is_remembered_whatever_came_of_it(tmp_path: Path) -> None:
    """Answers, revoked ones and unreadable replies took tokens; only an answer is found again, and counts once."""
    path = tmp_path / "labels.jsonl"
    garbled = replace(_answer(9, "abstain"), prompt_hash="", tokens=30, cost=0.5)
    _write(path, _answer(1), _answer(1), _answer(2), garbled, garbled, replace(garbled, tokens=0))
    with path.open("a") as file:
        file.write('{"by": "operator", "revoked": "hash1"}\n')
    for _ in range(2):
        with LabelLedger(path) as ledger:
            assert ledger.spent == Spending(2 * 12 + 2 * 30, 1.0)
            assert len(ledger) == 1
            assert ledger.find("llm", "") is None
