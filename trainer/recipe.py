"""The recipe: one training run, top to bottom (docs/method.md).

Read both systems → embed → how much of the target does the source know → SM(0) by meta-learning → label and distil in
rounds → calibrate → pack → publish. Nothing is published before everything is done, so Ctrl-C at any line leaves the
model that serves in place; answers that were given stay in the ledger, and the next run does not ask again.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from time import monotonic

import numpy as np
import structlog

from broker.registry.publish import check_publishable, publish
from detector.artifact.folder import write_folder
from schemas.chunks import sha256_of
from trainer.data.corpus import read_corpus
from trainer.data.sources import open_source, open_target
from trainer.errors import LabellerError
from trainer.export import pack_model
from trainer.labelling.collector import Desk, system_card
from trainer.labelling.grouping import label_groups
from trainer.labelling.labellers import make_hasher, make_plan
from trainer.labelling.ledger import LabelLedger
from trainer.labelling.source_prior import carried_over
from trainer.learning.distillation import Distillation, DistillationSettings
from trainer.learning.encoding import make_embedder
from trainer.learning.evaluation import TrainingMetrics
from trainer.learning.meta_learning import MetaSettings
from trainer.learning.training import Mixture
from trainer.learning.word_vectors import load_word_vectors
from trainer.progress import Progress, ProgressRecord
from trainer.report import TrainingReport
from trainer.settings import TrainerSettings
from trainer.workers.local import Assignment, Crew

__all__ = ["TrainingReport", "train"]

HireCrew = Callable[[Assignment, TrainerSettings], Crew]

# A labeller that knows more than the rules is not to be argued with by windows that the rules labelled.
_MIXTURES = {"heuristic": Mixture(), "openai": Mixture(0.7, 0.15, 0.15), "recorded": Mixture(0.7, 0.15, 0.15)}


def train(
    settings: TrainerSettings,
    receive: Callable[[ProgressRecord], None] | None = None,
    hire_crew: HireCrew | None = None,
) -> TrainingReport:
    """Train a model for the target and publish it.

    Args:
        settings: of the run.
        receive: called with each progress record.
        hire_crew: who does the work; Ray actors by default.

    Raises:
        SettingsError: a file that the settings name is not there.
        TrainerError: the run cannot go on; the message says what to do. Nothing is published then.
        PublishError: the model is trained but not published.
    """
    began = monotonic()
    progress = Progress(receive) if receive is not None else Progress()
    log = structlog.get_logger(__name__).bind(system=settings.target.spec.name)
    source_stream, target_stream = open_source(settings), open_target(settings)
    if settings.publish:
        progress.stage("see that models can be published")
        check_publishable(settings.kafka, settings.topics, settings.store)

    source, _ = read_corpus(source_stream, settings.sample_lines, settings.seed, progress)
    target, templates = read_corpus(target_stream, settings.sample_lines, settings.seed, progress)
    log.info("corpus.read", source=source.system, windows=target.windows, signatures=len(target.signatures))

    texts = [*source.texts.values(), *target.texts.values()]
    vectors = load_word_vectors(settings.word_vectors, texts) if settings.word_vectors else None
    embedder = make_embedder((source, target), vectors)
    plan = make_plan(settings, target, carried_over(embedder, source, target.texts))

    progress.stage("workers")
    assignment = Assignment(
        source=source,
        target=target,
        embedder=embedder,
        hidden=settings.hidden,
        seed=settings.seed,
        make_labeller=plan,
        milvus=str((settings.work_dir / "knowledge.db").resolve()),
        labellers=settings.labellers,
    )
    with LabelLedger(settings.work_dir / "labels.jsonl") as ledger:  # also keeps a second run out of work_dir
        crew = (hire_crew or _ray_crew)(assignment, settings)
        try:
            progress.stage("similarity")
            similarities, routing = crew.route()

            progress.stage("meta-learning")
            meta = crew.meta_learn(np.flatnonzero(routing.general), MetaSettings(steps=settings.meta_steps))
            log.info("model.meta_learned", steps=meta.steps, domain_accuracy=round(meta.domain_accuracy, 3))

            groups = label_groups(target, settings.budget)
            desk = Desk(target, groups, crew, ledger, make_hasher(plan), system_card(target))
            distillation_settings = DistillationSettings(
                budget=settings.budget,
                rounds=settings.rounds,
                final_steps=settings.final_steps,
                mixture=_MIXTURES[settings.labeller],
            )
            distilled = Distillation(target, groups, routing, crew, crew, desk, distillation_settings, progress).run()
            _check_told(desk)

            progress.stage("pack")
            metrics = replace(distilled.metrics, meta_domain_accuracy=meta.domain_accuracy)
            files = pack_model(
                spec=target_stream.spec,
                templates=templates,
                source=source,
                target=target,
                embedder=embedder,
                hidden=settings.hidden,
                state=crew.state(),
                calibration=distilled.calibration,
                similarities=similarities,
                routing=routing,
                logits=distilled.logits,
                labeller=desk.giver,
                metrics=metrics,
                seed=settings.seed,
            )
            ledger.learned(sha256_of(files["manifest.json"]), len(desk.answers))
            retrieval, _ = crew.index_name()
        finally:
            crew.close()

    report = TrainingReport(
        system=target.system,
        version=0,
        sha256=sha256_of(files["manifest.json"]),
        labeller=desk.giver,
        metrics=metrics,
        counts={
            "source_lines": source.lines,
            "target_lines": target.lines,
            "unreadable_lines": target.unreadable_lines,
            "windows": target.windows,
            "signatures": len(target.signatures),
            "templates": len(templates),
            "groups": len(groups),
            "answers_asked": desk.asked,
            "answers_remembered": desk.remembered,
        },
        seconds=0.0,
        retrieval=retrieval,
        out=settings.out,
        warnings=_warnings(metrics, len(groups)),
    )
    report = replace(report, version=_delivered(settings, files, report, progress))
    report = replace(report, seconds=round(monotonic() - began, 1))
    log.info("model.trained", version=report.version, sha256=report.sha256, seconds=report.seconds)
    return report


def _delivered(
    settings: TrainerSettings, files: Mapping[str, bytes], report: TrainingReport, progress: Progress
) -> int:
    """Write the artifact to where it was asked for; the version that it is published as, 0 when it is not."""
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
        system=report.system,
        labeller=report.labeller,
        metrics=report.metrics.flat(),
        promote=settings.promote,
    )
    return version


def _check_told(desk: Desk) -> None:
    """Make sure that the target was told of: a model that was not must not take the place of one that was."""
    if all(answer.label == "abstain" for answer in desk.answers.values()):
        reasons = Counter(answer.reason for answer in desk.answers.values())
        raise LabellerError(
            f"labeller {desk.giver!r} must answer at least once, got {len(desk.answers)} abstentions "
            f"(most often: {reasons.most_common(1)[0][0]}): check its settings; nothing is published"
        )


def _warnings(metrics: TrainingMetrics, groups: int) -> tuple[str, ...]:
    if metrics.anomalous_answers:
        return ()
    warning = (
        f"the labeller found no anomaly among {groups} distinct windows, so the model knows faults from the source "
        "alone and may never alert: train on a longer or more varied history, or with another labeller"
    )
    return (warning,)


def _ray_crew(assignment: Assignment, settings: TrainerSettings) -> Crew:
    from trainer.workers.ray_actors import RayCrew

    return RayCrew(assignment, settings.ray_address)
