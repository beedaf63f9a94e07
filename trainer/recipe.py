"""The recipe: one training run, top to bottom (docs/method.md).

Set up: read both systems and embed their events. Learn: route, meta-learn on the source, label and distil in rounds,
calibrate. Export: pack, write, publish. Nothing is published before everything else is done, so Ctrl-C at any line
leaves the serving model in place; answers stay in the ledger, and the next run does not ask for them again.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from time import monotonic

import numpy as np
import structlog

from broker.registry.publish import check_publishable, publish
from detector.artifact.folder import write_folder
from detector.model.shape import NetworkShape
from schemas.chunks import sha256_of
from trainer.context import Systems, TrainingContext
from trainer.data.corpus import read_corpus
from trainer.data.learned_templates import read_learned_templates
from trainer.data.signatures import Corpus
from trainer.data.sources import open_source, open_target
from trainer.errors import LabellerError, SourceError
from trainer.export import TrainedModel, pack_model
from trainer.history import check_corpus, check_history, problems_of_answers, problems_of_corpus
from trainer.labellers import LABELLERS
from trainer.labelling.base import NOTHING, LabellerInputs, Spending
from trainer.labelling.collector import AnswerCollector
from trainer.labelling.grouping import label_groups
from trainer.labelling.ledger import LabelLedger
from trainer.labelling.source_prior import source_prior
from trainer.learning.calibration import threshold_for
from trainer.learning.distillation import Distillation, DistillationSettings, Distilled
from trainer.learning.encoding import make_embedder
from trainer.learning.evaluation import alert_rate
from trainer.learning.meta_learning import MetaSettings
from trainer.learning.word_vectors import load_word_vectors
from trainer.progress import Progress, ProgressRecord
from trainer.report import TrainingReport
from trainer.settings import TrainerSettings
from trainer.workers.fallback import start_workers
from trainer.workers.local import Workers

MakeWorkers = Callable[[TrainingContext, TrainerSettings], Workers]
ReadSystems = Callable[[TrainerSettings, Progress], Systems]

_THRESHOLD = 0.5


def train(
    settings: TrainerSettings,
    receive: Callable[[ProgressRecord], None] | None = None,
    make_workers: MakeWorkers | None = None,  # those that the settings ask for, by default
    read: ReadSystems | None = None,
) -> TrainingReport:
    """Train a model for the target and publish it; `receive` gets each progress record.

    `read` reads both systems: by default from the files or topics of the settings.

    Raises:
        SettingsError: a file that the settings name is absent.
        PublishError: the model is trained but not published.
        TrainerError: the run cannot go on; the message says what to do. Nothing is published then.

    A model whose answers show that the history cannot carry it is published, but not promoted: `refused` of the report.
    """
    began = monotonic()
    progress = Progress(receive) if receive is not None else Progress()
    log = structlog.get_logger(__name__).bind(system=settings.target.spec.name)
    log.info("run.settings", seed=settings.seed, settings=settings.model_dump(mode="json", by_alias=True))
    systems = (read or read_systems)(settings, progress)
    with LabelLedger(settings.work_dir / "labels.jsonl") as ledger:  # also keeps a second run out of work_dir
        context = make_context(settings, systems, ledger.spent)
        progress.stage("workers")
        workers = (make_workers or start_workers)(context, settings)
        try:
            model, counts = _learn(settings, context, workers, ledger, progress)
            progress.stage("pack")
            files = pack_model(context, model)
            ledger.learned(sha256_of(files["manifest.json"]), model.metrics.answers)
            index_name = workers.similarity.index_name()
        finally:
            workers.close()
    problems = problems_of_answers(model.metrics)
    refused = () if settings.force else problems
    forced = (*problems_of_corpus(context.target, context.spec), *problems) if settings.force else ()
    version = _deliver(settings, files, model, progress, promote=settings.promote and not refused)
    report = TrainingReport(
        system=context.target.system,
        version=version,
        sha256=sha256_of(files["manifest.json"]),
        labeller=model.labeller,
        metrics=model.metrics,
        counts=counts,
        seconds=round(monotonic() - began, 1),
        retrieval=index_name,
        out=settings.out,
        warnings=(*workers.warnings, *forced),
        refused=refused,
    )
    log.info("model.trained", version=report.version, sha256=report.sha256, seconds=report.seconds)
    return report


def read_systems(settings: TrainerSettings, progress: Progress) -> Systems:
    """Read both systems from the files or topics that the settings name.

    Raises:
        SettingsError: a file is absent.
        SourceError: a system cannot be read, or the target's history cannot carry a model (`settings.force` reads on).
    """
    source_stream, target_stream = open_source(settings), open_target(settings)
    if settings.target.topic is None and not settings.force:
        check_history(target_stream)  # before the source, whose reading can take minutes
    if settings.publish:
        progress.stage("check that models can be published")
        check_publishable(settings.kafka, settings.topics, settings.store)
    learned = read_learned_templates(settings)
    source, _ = read_corpus(source_stream, settings.sample_lines, settings.seed, progress)
    target, templates = read_corpus(target_stream, settings.sample_lines, settings.seed, progress, learned)
    if not settings.force:
        check_corpus(target, target_stream.spec)
    _check_times(settings, target)
    structlog.get_logger(__name__).info(
        "corpus.read",
        system=target.system,
        source=source.system,
        windows=target.windows,
        signatures=len(target.signatures),
        templates=len(templates),
        learned_templates=len(learned),
    )
    return Systems(target_stream.spec, source, target, templates)


def make_context(settings: TrainerSettings, systems: Systems, spent: Spending = NOTHING) -> TrainingContext:
    """Prepare what the workers need; `spent` is what earlier runs have spent on answers."""
    source, target = systems.source, systems.target
    texts = [*source.texts.values(), *target.texts.values()]
    vectors = load_word_vectors(settings.word_vectors, texts) if settings.word_vectors else None
    embedder = make_embedder((source, target), vectors)
    build = LABELLERS[settings.labeller].builder()
    return TrainingContext(
        spec=systems.spec,
        templates=systems.templates,
        source=source,
        target=target,
        embedder=embedder,
        shape=NetworkShape(event_dim=embedder.dim, hidden=settings.hidden, attention="unbounded"),
        seed=settings.seed,
        make_labeller=build(LabellerInputs(settings, target, source_prior(embedder, source, target.texts), spent)),
        labellers=settings.labellers,
        milvus=str((settings.work_dir / "knowledge.db").resolve()),
    )


def _learn(
    settings: TrainerSettings, context: TrainingContext, workers: Workers, ledger: LabelLedger, progress: Progress
) -> tuple[TrainedModel, dict[str, int]]:
    """Route, meta-learn, label and distil; the model, and the counts of the report."""
    source, target = context.source, context.target
    progress.stage("similarity")
    similarities, routing = workers.similarity.route()

    progress.stage("meta-learning")
    meta = workers.learner.meta_learn(np.flatnonzero(routing.general), MetaSettings(steps=settings.meta_steps))
    structlog.get_logger(__name__).info(
        "model.meta_learned", steps=meta.steps, domain_accuracy=round(meta.domain_accuracy, 3)
    )

    groups = label_groups(target, settings.budget)
    collector = AnswerCollector(
        target, groups, workers.similarity, workers.labellers, ledger, context.make_labeller(context.labellers)
    )
    distillation_settings = DistillationSettings(
        budget=settings.budget,
        rounds=settings.rounds,
        final_steps=settings.final_steps,
        mixture=LABELLERS[settings.labeller].mixture,
    )
    distilled = Distillation(
        target, groups, routing, workers.learner, workers.similarity, collector, distillation_settings, progress
    ).run()
    _check_answered(collector)

    threshold, rate = _threshold(settings, target, distilled)
    metrics = replace(
        distilled.metrics,
        meta_domain_accuracy=meta.domain_accuracy,
        alert_rate=rate,
        alerts_per_day=rate * target.windows / target.days if target.days else None,
    )
    counts = {
        "source_lines": source.lines,
        "target_lines": target.lines,
        "unreadable_lines": target.unreadable_lines,
        "keyless_lines": target.keyless_lines,
        "windows": target.windows,
        "signatures": len(target.signatures),
        "templates": len(context.templates),
        "groups": len(groups),
        "answers_asked": collector.asked,
        "answers_remembered": collector.remembered,
        "answers_shared": collector.shared,
    }
    state = workers.learner.state()
    return TrainedModel(state, distilled, similarities, routing, collector.labeller, metrics, threshold), counts


def _threshold(settings: TrainerSettings, target: Corpus, distilled: Distilled) -> tuple[float, float]:
    """The threshold, and the share of the history's windows that it would have alerted on."""
    if settings.alerts_per_day is not None:
        wanted = settings.alerts_per_day * target.days
    elif settings.alerts_per_1000_windows is not None:
        wanted = settings.alerts_per_1000_windows * target.windows / 1000
    else:
        return _THRESHOLD, distilled.metrics.alert_rate
    probabilities = distilled.calibration.probabilities(distilled.logits)
    windows = np.array([signature.windows for signature in target.signatures], np.float64)
    threshold = threshold_for(probabilities, windows, wanted)
    return threshold, alert_rate(probabilities, windows, threshold)


def _check_times(settings: TrainerSettings, target: Corpus) -> None:
    """Make sure that alerts a day can be counted, before anything is asked."""
    if settings.alerts_per_day is not None and not target.days:
        raise SourceError(
            f"alerts_per_day must be of a target whose lines have times, got none in {target.lines} lines of "
            f"{target.system!r}: give a layout and time format that find them, or alerts_per_1000_windows instead"
        )


def _deliver(
    settings: TrainerSettings, files: Mapping[str, bytes], model: TrainedModel, progress: Progress, *, promote: bool
) -> int:
    """Write the artifact to where it is wanted; the version that it is published as, 0 where it is not published."""
    if settings.out is not None:
        write_folder(settings.out, files)
    if not settings.publish:
        return 0
    progress.stage("publish")
    version, _ = publish(
        settings.kafka,
        settings.topics,
        settings.store,
        files,
        system=settings.target.spec.name,
        labeller=model.labeller,
        metrics=model.metrics.flat(),
        promote=promote,
    )
    return version


def _check_answered(collector: AnswerCollector) -> None:
    """Make sure that there is an answer: a model that learned from none must not replace one that learned from some."""
    if all(answer.label == "abstain" for answer in collector.answers.values()):
        reasons = Counter(answer.reason for answer in collector.answers.values())
        raise LabellerError(
            f"labeller {collector.labeller!r} must answer at least once, got {len(collector.answers)} abstentions "
            f"(most often: {reasons.most_common(1)[0][0]}): check its settings; nothing is published"
        )
