"""What a training run would learn from and ask for; nothing is asked, trained, published or written."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detector.model.runs import Runs
from trainer.context import Systems
from trainer.history import problems_of_corpus
from trainer.labellers import LABELLERS
from trainer.labelling.base import Answer, LabellerInputs, Question, Spending
from trainer.labelling.collector import AnswerCollector
from trainer.labelling.grouping import label_groups
from trainer.labelling.ledger import LabelLedger
from trainer.labelling.retrieval import Match
from trainer.progress import Progress, ProgressRecord
from trainer.recipe import make_context, read_systems
from trainer.settings import TrainerSettings


@dataclass(frozen=True)
class TrainingPlan:
    """A run that was not made.

    Attributes:
        system: the target.
        signatures: distinct windows.
        groups: of distinct windows that get one answer together.
        answers_to_ask: at most; groups with an equal prompt count once.
        answers_remembered: groups whose answer the ledger holds.
        answers_shared: groups whose answer is that of another group with an equal prompt.
        estimated_tokens: of prompts and replies; 0 of a labeller that answers without an endpoint.
        estimated_cost: in the currency of the settings; None where they name no price.
        warnings: why a run would be refused, or would stop asking at a limit.
    """

    system: str
    labeller: str
    lines: int
    windows: int
    signatures: int
    groups: int
    answers_to_ask: int
    answers_remembered: int
    estimated_tokens: int
    estimated_cost: float | None
    answers_shared: int = 0
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Everything by name, as `fusionlog train --dry-run --json` prints it."""
        return asdict(self)


def plan(
    settings: TrainerSettings,
    receive: Callable[[ProgressRecord], None] | None = None,
    read: Callable[[TrainerSettings, Progress], Systems] = read_systems,
) -> TrainingPlan:
    """Read both systems as a run would, and count; `receive` gets each progress record.

    Raises:
        SettingsError: a file that the settings name is absent.
        TrainerError: a run could not go on, either.
    """
    progress = Progress(receive) if receive is not None else Progress()
    # Forced, so that a history that would be refused is counted, too.
    systems = read(settings.model_copy(update={"publish": False, "force": True}), progress)
    target = systems.target
    groups = label_groups(target, settings.budget)
    progress.stage("count answers", len(groups))
    questions = _Questions()
    with tempfile.TemporaryDirectory(prefix="fusionlog-plan-") as folder:
        # A copy: opening a ledger takes its lock and drops a line that was cut short.
        path, copy = settings.work_dir / "labels.jsonl", Path(folder) / "labels.jsonl"
        if path.is_file():
            shutil.copyfile(path, copy)
        with LabelLedger(copy) as ledger:
            spent = ledger.spent
            labeller = make_context(settings, systems, spent).make_labeller(1)
            collector = AnswerCollector(target, groups, _NoNeighbors(), questions, ledger, labeller)
            collector.ask(groups, 0, progress)
    to_ask = min(len(questions.open), settings.budget)
    tokens, money = _cost(settings, systems, questions.open, to_ask)
    return TrainingPlan(
        system=target.system,
        labeller=labeller.name,
        lines=target.lines,
        windows=target.windows,
        signatures=len(target.signatures),
        groups=len(groups),
        answers_to_ask=to_ask,
        answers_remembered=collector.remembered,
        answers_shared=collector.shared,
        estimated_tokens=tokens,
        estimated_cost=money,
        warnings=(*problems_of_corpus(target, systems.spec), *_problems_of_limits(settings, spent, tokens, money)),
    )


def _problems_of_limits(settings: TrainerSettings, spent: Spending, tokens: int, money: float | None) -> Iterator[str]:
    """Why labelling would stop before all is asked."""
    limits, stops = settings.openai, "labelling would stop there: raise it, or lower budget"
    left = max(0, limits.max_tokens_total - spent.tokens)
    if tokens > left:
        yield f"openai.max_tokens_total must leave about {tokens} tokens, leaves {left}; {stops}"
    if money is not None and limits.max_cost_total is not None:
        rest = max(0.0, limits.max_cost_total - spent.cost)
        if money > rest:
            yield f"openai.max_cost_total must leave about {money:.2f}, leaves {rest:.2f}; {stops}"


def _cost(
    settings: TrainerSettings, systems: Systems, questions: Sequence[Question], to_ask: int
) -> tuple[int, float | None]:
    """Tokens and money of `to_ask` of the questions: which they are is decided by a model that is not there yet."""
    estimate = LABELLERS[settings.labeller].estimator()
    if estimate is None or not to_ask:
        return 0, 0.0
    cost_of = estimate(LabellerInputs(settings, systems.target, {}))
    costs = [cost_of(question) for question in questions]
    share = to_ask / len(costs)
    money = [cost.money for cost in costs if cost.money is not None]
    tokens = round(share * sum(cost.tokens for cost in costs))
    return tokens, round(share * sum(money), 6) if len(money) == len(costs) else None


class _Questions:
    """Stands in for labellers: keeps the questions that they would get, and answers none."""

    def __init__(self) -> None:
        self.open: list[Question] = []

    def label(self, questions: Sequence[Question]) -> Iterator[list[Answer]]:
        """See `trainer.labelling.base.AnswersQuestions`."""
        self.open += questions
        return iter(())


class _NoNeighbors:
    """Stands in for retrieval: nothing is answered, so nothing is found."""

    def add(self, groups: Sequence[str], windows: Sequence[Runs]) -> None:
        """Answers of earlier runs are not needed."""

    def neighbors(self, groups: Sequence[str], _windows: Sequence[Runs]) -> list[list[Match]]:
        """None for each group."""
        return [[] for _ in groups]
