"""Answers of an LLM are paid for once: trainings one after the other, with the real client on an endpoint here."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.trainer.tiny_run import in_process, tiny_settings
from trainer.errors import LabellerError
from trainer.labelling.ledger import LabelLedger
from trainer.recipe import train
from trainer.report import TrainingReport
from trainer.settings import OpenAISettings, TrainerSettings
from trainer.testing import ChatStub, Reply, completion

pytestmark = pytest.mark.ray

NEW = ("order 7 received", "address checked", "order 7 closed")
USUAL = ("order 7 received", "address checked", "item 8 picked", "item 8 scanned", "parcel packed",
         "parcel handed to carrier", "order closed")  # fmt: skip


def _window(body: dict[str, Any]) -> dict[str, Any]:
    """The window of a request."""
    block = body["messages"][1]["content"].split("<<<DATA\n")[1].split("\nDATA>>>")[0]
    window: dict[str, Any] = json.loads(block)["window"]
    return window


def _verdict(body: dict[str, Any], tokens: int = 100) -> Reply:
    """Anomalous where a carrier refuses."""
    bad = "refused" in json.dumps(_window(body)["rows"])
    return completion({"label": "anomalous" if bad else "normal", "confidence": 0.9, "evidence": []}, tokens)


class Runs:
    """Trainings with one endpoint and one work_dir; `play` replies to a request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.play: Callable[[dict[str, Any]], Reply] = _verdict
        self.stub = ChatStub(lambda _, body: self.play(body))

    def settings(self, **openai: Any) -> TrainerSettings:
        """Settings whose inputs are written anew."""
        section = {"base_url": self.stub.url, "model": "stub", "concurrency": 1, **openai}
        return tiny_settings(self.folder, labeller="openai", openai=section, final_steps=5, rounds=1)

    def train(self, settings: TrainerSettings) -> tuple[TrainingReport, list[dict[str, Any]]]:
        """The report and the requests of one training."""
        before = len(self.stub.requests)
        report = train(settings, make_workers=in_process)
        return report, self.stub.requests[before:]


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    """Trainings in a folder of their own."""
    runs = Runs(tmp_path)
    with runs.stub:
        yield runs


@contextmanager
def _appended(path: Path) -> Iterator[Callable[[str, tuple[str, ...]], None]]:
    """Appends orders to a log."""
    with path.open("a") as file:

        def append(key: str, texts: tuple[str, ...]) -> None:
            for second, text in enumerate(texts):
                time = f"2025-02-01T00:00:{second:02d}+00:00"
                file.write(json.dumps({"time": time, "message": f"{text} order={key}"}) + "\n")

        yield append


def test_a_longer_history_asks_about_its_new_window_alone(runs: Runs) -> None:
    """Other counts, shares, times seen and neighbors ask nothing again; one distinct window more is one question."""
    settings = runs.settings()
    first, asked = runs.train(settings)
    assert len(asked) == first.counts["answers_asked"] == first.counts["groups"]
    with _appended(runs.folder / "target.jsonl") as append:
        for number in range(400):
            append(f"again{number}", USUAL)
        append("new", NEW)
    second, asked = runs.train(settings)
    assert second.counts["windows"] == first.counts["windows"] + 401
    assert second.counts["groups"] == first.counts["groups"] + 1
    assert [len(_window(body)["rows"]) for body in asked] == [len(NEW)]
    assert second.counts["answers_remembered"] == first.counts["groups"]


def test_a_renamed_system_asks_nothing_again(runs: Runs) -> None:
    """What a file or a topic is called is no part of a question, so the answers are the same under another name."""
    settings = runs.settings()
    runs.train(settings)
    spec = settings.target.spec.model_copy(update={"name": "renamed"})
    target = settings.target.model_copy(update={"spec": spec})
    report, asked = runs.train(settings.model_copy(update={"target": target}))
    assert report.system == "renamed"
    assert asked == []
    assert "shop" not in json.dumps(runs.stub.requests)


def test_an_unreadable_answer_is_asked_for_again_and_an_abstention_is_not(runs: Runs) -> None:
    """Garbage is no answer, so the next run asks once more; a model that says `abstain` has answered."""
    settings = runs.settings()
    garbled: list[str] = []
    abstained: list[str] = []

    def play(body: dict[str, Any]) -> Reply:
        rows = json.dumps(_window(body)["rows"])
        if "cache" in rows:
            garbled.append(rows)
            return completion("I cannot tell you that")
        if "self test" in rows:
            abstained.append(rows)
            return completion({"label": "abstain", "confidence": 0.5, "evidence": []})
        return _verdict(body)

    runs.play = play
    first, asked = runs.train(settings)
    assert abstained
    assert garbled
    assert len(asked) == first.counts["groups"] + len(set(garbled))  # those were asked twice
    runs.play = _verdict
    second, asked = runs.train(settings)
    assert {json.dumps(_window(body)["rows"]) for body in asked} == set(garbled)
    assert len(asked) == second.counts["answers_asked"] == len(set(garbled))
    _, asked = runs.train(settings)
    assert asked == []


def test_a_second_run_has_the_rest_of_the_tokens(runs: Runs) -> None:
    """What earlier runs spent counts, unreadable replies too; a higher limit goes on where labelling stopped."""
    _, asked = runs.train(runs.settings(max_tokens_total=2_000))
    assert len(asked) == 20
    runs.play = lambda _: completion("garbage", 100)
    _, asked = runs.train(runs.settings(max_tokens_total=2_600))
    assert len(asked) == 6
    runs.play = _verdict
    with capture_logs() as logs:
        report, asked = runs.train(runs.settings(max_tokens_total=2_600))
    assert asked == []
    assert (report.counts["answers_remembered"], report.counts["answers_asked"]) == (20, 0)
    assert [entry["tokens"] for entry in logs if entry["event"] == "labeller.nothing_left"] == [2_600]
    _, asked = runs.train(runs.settings(max_tokens_total=2_800))
    assert len(asked) == 2


def test_what_an_endpoint_that_never_answers_may_charge_is_in_the_ledger(runs: Runs) -> None:
    """Cut replies cost as much as whole ones, so runs that fail by them cannot pass the limit, either."""
    cut = completion("x")
    runs.play = lambda _: (cut[0], cut[1], cut[2][:60])
    sent = []
    for _ in range(2):
        before = len(runs.stub.requests)
        with pytest.raises(LabellerError, match=r"must answer at least once|must name an endpoint that answers"):
            runs.train(runs.settings(max_tokens_total=3_000))
        sent.append(len(runs.stub.requests) - before)
    assert sent[0] in range(2, 7)
    assert sent[1] == 0
    with LabelLedger(runs.folder / "work" / "labels.jsonl") as ledger:
        assert ledger.spent.tokens >= 3_000


def test_a_second_run_has_the_rest_of_the_money(runs: Runs) -> None:
    """Input and output have their prices (99 and 1 tokens a reply); the limit is one of all runs."""
    prices = {"price_per_million_input_tokens": 1_000, "price_per_million_output_tokens": 10_000}
    _, asked = runs.train(runs.settings(max_cost_total=1.0, **prices))
    assert len(asked) == 10  # 0.109 each
    _, asked = runs.train(runs.settings(max_cost_total=2.0, **prices))
    assert len(asked) == 9
    _, asked = runs.train(runs.settings(max_cost_total=2.0, **prices))
    assert asked == []


def test_a_limit_of_money_needs_a_price() -> None:
    """Without a price everything would cost nothing, and the limit would never hold."""
    with pytest.raises(ValueError, match="must be given with max_cost_total, got neither"):
        OpenAISettings(max_cost_total=1.0)
