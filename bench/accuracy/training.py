"""The shipped training on a pool, in this process, and the scores of the model that it makes.

The pool has no raw lines, so both systems are handed to `trainer.recipe.train` as it would have read them.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.accuracy.answers import write_answers
from bench.accuracy.data.windows import Floats, Ints
from bench.accuracy.task import Task, Verdicts
from bench.errors import BenchError
from detector.artifact.export import unpack
from detector.artifact.folder import read_folder
from detector.model.calibration import sigmoid
from detector.model.detection_model import DetectionModel
from detector.model.scoring import Scorer
from schemas.chunks import sha256_of
from trainer.context import TrainingContext
from trainer.errors import TrainerError
from trainer.learning.encoding import logits, namespaced
from trainer.learning.meta_learning import MetaSettings
from trainer.recipe import make_context, train
from trainer.report import TrainingReport
from trainer.settings import TrainerSettings
from trainer.workers.local import Similarity, Workers, local_workers, make_learner

PLACE = "sequences"  # stands in the settings for the files that there are none of


@dataclass(frozen=True)
class Trained:
    """A model, the report of its training, and the answers of an LLM that it used."""

    model: DetectionModel
    report: TrainingReport
    answers: int


def settings_of(task: Task, work: Path, answers: Path | None) -> TrainerSettings:
    """The shipped settings; what differs is the input, the seed, the labeller, and the budget where there is one."""
    spec = task.windows.spec.model_dump(mode="json")
    given = {
        "source": {"path": PLACE},
        "target": {"path": PLACE, "spec": spec},
        "seed": task.seed,
        "work_dir": work / "work",
        "out": work / "model",
        "publish": False,
        "word_vectors": task.vectors,
        **({} if answers is None else {"labeller": "recorded", "recorded": {"answers": answers}}),
        **({} if task.budget is None else {"budget": task.budget}),
        **task.training,
    }
    return TrainerSettings.model_validate(given)


def train_model(task: Task, choose: Callable[[Task], Floats] | None = None) -> Trained:
    """Train on the pool with the task's answers.

    Args:
        task: the task; its truth is not in it.
        choose: the answers that may be asked for, where it is not the trainer that chooses them; others are
            abstentions.
    """
    with tempfile.TemporaryDirectory(prefix="fusionlog-accuracy-") as folder:
        work = Path(folder)
        answers = None if task.labeller == "default" else work / "answers.jsonl"
        settings = settings_of(replace(task, budget=None) if choose else task, work, answers)
        known = np.zeros(0)
        if answers is not None:
            known = task.answers if choose is None else choose(task)
            write_answers(answers, task, known, settings.budget)
        try:
            report = train(settings, make_workers=_in_process, read=lambda _settings, _progress: task.systems)
        except TrainerError as error:
            raise BenchError(f"{task.windows.system}: the training did not end in a model: {error}") from error
        files = read_folder(work / "model")
    model = unpack(files, sha256_of(files["manifest.json"]))
    if task.labeller == "default":
        return Trained(model, report, 0)
    # One answer of an LLM may have served several questions of the trainer, or none where the budget ended before.
    behind = task.answers_about(np.flatnonzero(~np.isnan(known) & (task.pool > 0)))
    asked = report.metrics.answers - report.metrics.abstentions
    return Trained(model, report, min(asked, behind) if choose is None else behind)


def score_with(model: DetectionModel, task: Task) -> Verdicts:
    """Score the test part as an agent does; events that the pool lacks are resolved from their text."""
    scorer = Scorer(model)
    scores = scorer.score([task.windows.runs[row] for row in task.test], task.windows.texts)
    return Verdicts(np.asarray(scores, np.float64), model.threshold)


def source_model(task: Task, beta: float, inner_rate: float, *, routed: bool = True) -> Verdicts:
    """Scores of the small model before it has seen an answer: meta-learning on source and pool alone, uncalibrated.

    Args:
        task: the task.
        beta: weight of the domain loss.
        inner_rate: of the inner step.
        routed: whether only the pool's general signatures are aligned with the source, as in the shipped training;
            else all of them are.
    """
    context = replace(context_of(task), milvus=None)
    aligned = _general(context) if routed else np.arange(len(context.target.signatures))
    learner = make_learner(context)
    steps = settings_of(task, Path(tempfile.gettempdir()), None).meta_steps
    settings = MetaSettings(steps=steps, beta=beta, inner_rate=inner_rate)
    learner.meta_learn(aligned, settings)
    system = context.target.system
    learner.events.add(system, task.windows.texts)
    windows = [namespaced(system, task.windows.runs[row]) for row in task.test]
    found = logits(learner.model, learner.events.tensor(), learner.events, windows)
    return Verdicts(sigmoid(np.asarray(found, np.float64)))


def context_of(task: Task) -> TrainingContext:
    """The inputs of a training on the pool with the shipped labeller."""
    return make_context(settings_of(task, Path(tempfile.gettempdir()), None), task.systems)


def _general(context: TrainingContext) -> Ints:
    """Numbers of the target's signatures that the router finds in the source, too."""
    similarity = Similarity(context)
    try:
        _similarities, routing = similarity.route()
    finally:
        similarity.close()
    return np.flatnonzero(routing.general)


def _in_process(context: TrainingContext, _settings: TrainerSettings | None = None) -> Workers:
    return local_workers(replace(context, milvus=None))
