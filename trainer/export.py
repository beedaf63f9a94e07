"""From a trained model to the files of an artifact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
import torch

from detector.artifact.export import pack
from detector.artifact.manifest import Lineage
from detector.model.count_path import CountPath
from detector.model.detection_model import TemplateInfo
from detector.model.network import SmallModel
from detector.model.runs import Runs
from detector.parsing.templates import WILDCARD, Template
from trainer.context import TrainingContext
from trainer.data.signatures import Corpus
from trainer.learning.distillation import Distilled
from trainer.learning.evaluation import TrainingMetrics
from trainer.learning.routing import EventSimilarity, Routing
from trainer.learning.training import State

_MAX_LINES_AS_TEMPLATES = 4_096
_GOLDEN = 24
_GOLDEN_RUNS = 100
_LIBRARIES = ("drain3", "numpy", "ray", "safetensors", "torch")


@dataclass(frozen=True)
class TrainedModel:
    """The result of training.

    Attributes:
        similarities: of every target event to the source.
        threshold: probability from which a window alerts.
    """

    state: State
    distilled: Distilled
    similarities: Mapping[str, EventSimilarity]
    routing: Routing
    labeller: str
    metrics: TrainingMetrics
    threshold: float = 0.5


def pack_model(context: TrainingContext, model: TrainedModel) -> dict[str, bytes]:
    """The artifact's files; the same arguments give the same bytes."""
    source, target = context.source, context.target
    network = SmallModel(context.shape)
    network.load_state_dict({name: torch.tensor(value) for name, value in model.state.items()})
    infos = template_infos(context.templates, target, model.similarities)
    known = {info.id for info in infos}
    return pack(
        spec=context.spec,
        templates=infos,
        source_texts=tuple(sorted(set(source.texts.values()))),
        embedder=context.embedder,
        network=network.eval(),
        count_path=_of_templates(model.distilled.count_path, model.distilled.events, infos),
        labeller=model.labeller,
        # Time of the data, so that a repeated run gives the same bytes.
        created_ms=target.last_time_ms,
        golden_runs=golden_runs(target, model.distilled.logits, known),
        general_cosine=float(min(1.0, max(0.0, model.routing.tau))),
        calibration=model.distilled.calibration,
        threshold=model.threshold,
        source_system=source.system,
        metrics=dict(sorted(model.metrics.flat().items())),
        transfer_readiness=model.metrics.transfer_readiness,
        lineage=Lineage(
            source_offsets=dict(source.offset_ranges),
            target_offsets=dict(target.offset_ranges),
            seeds={"run": context.seed},
            libraries={name: version(name) for name in _LIBRARIES},
        ),
    )


def template_infos(
    templates: Sequence[Template], target: Corpus, similarities: Mapping[str, EventSimilarity]
) -> list[TemplateInfo]:
    """The frozen templates, then masked lines that matched none, as templates of their own, most frequent first.

    Such a line has no wildcard, so it matches only itself, under the id that it had in training.
    """
    lines: dict[str, int] = {}
    for signature in target.signatures:
        for event, count in signature.counts().items():
            lines[event] = lines.get(event, 0) + signature.windows * count
    texts = {template.id: template.text for template in templates}
    # A line that held a secret has wildcards in its place: its id is not that of its text.
    whole = (event for event in lines if event not in texts and WILDCARD not in target.texts[event].split())
    others = sorted(whole, key=lambda event: (-lines[event], event))
    texts |= {event: target.texts[event] for event in others[:_MAX_LINES_AS_TEMPLATES]}
    unlike = EventSimilarity(0.0, "")
    return [
        TemplateInfo(
            text,
            lines.get(event, 0),
            similarities.get(event, unlike).cosine,
            similarities.get(event, unlike).nearest,
        )
        for event, text in texts.items()
    ]


def _of_templates(path: CountPath, events: Sequence[str], infos: Sequence[TemplateInfo]) -> CountPath:
    """The count path with a row for each packed template; of a template without lines in training it is 0."""
    row_of = {event: row for row, event in enumerate(events)}
    weights = np.zeros((len(infos), 2), np.float32)
    for place, info in enumerate(infos):
        if info.id in row_of:
            weights[place] = path.weights[row_of[info.id]]
    return CountPath(weights, path.bias)


def golden_runs(target: Corpus, logits: npt.NDArray[np.float64], known: set[str]) -> list[Runs]:
    """Windows whose scores every loader must reproduce: the most frequent, and some from the whole range of scores."""
    usable = [
        number
        for number, signature in enumerate(target.signatures)
        if 0 < len(signature.runs) <= _GOLDEN_RUNS and all(event in known for event, _ in signature.runs)
    ]
    if not usable:
        usable = [number for number, signature in enumerate(target.signatures) if signature.runs][:1]
    frequent = sorted(usable, key=lambda number: (-target.signatures[number].windows, number))[: _GOLDEN // 2]
    ranked = sorted(usable, key=lambda number: (float(logits[number]), number))
    places = np.unique(np.linspace(0, len(ranked) - 1, _GOLDEN // 2).round().astype(int))
    chosen = dict.fromkeys([*frequent, *(ranked[int(place)] for place in places)])
    return [target.signatures[number].runs for number in chosen]
