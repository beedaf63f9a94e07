"""A loaded model: what scoring and explaining need, and nothing about how it is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np

from detector.model.calibration import Calibration
from detector.model.count_path import CountPath
from detector.model.embedding import Embedder, Float32
from detector.model.network import SmallModel
from detector.parsing.templates import Template, TemplateMatcher, template_id


class TemplateInfo(msgspec.Struct, frozen=True, dict=True):
    """A template the model was trained with, as `templates.json` holds it.

    Attributes:
        count: lines of it in the training corpus.
        source_cosine: cosine to the most similar event of the source system.
        nearest_source: text of that event; empty when there is none.
    """

    text: str
    count: int = 0
    source_cosine: float = 0.0
    nearest_source: str = ""

    @cached_property
    def id(self) -> str:
        """The template's id, which follows from its text."""
        return template_id(self.text)


@dataclass(frozen=True)
class DetectionModel:
    """A model as it serves.

    Attributes:
        name: the system it is for.
        version: the pointer's version; 0 when loaded without a pointer.
        sha256: hash of the manifest's bytes.
        threshold: probability from which (`>=`) a window is anomalous.
        calibration: from a window's logit to a probability.
        general_cosine: similarity to the source from which an event counts as general knowledge.
        labeller: what labelled the target's windows.
        count_path: beside the network, a row for each template; None in models of releases that had none.
    """

    name: str
    version: int
    sha256: str
    spec_fingerprint: str
    templates: tuple[TemplateInfo, ...]
    source_texts: tuple[str, ...]
    embedder: Embedder
    network: SmallModel
    threshold: float
    calibration: Calibration
    general_cosine: float
    labeller: str
    count_path: CountPath | None = None

    @cached_property
    def matcher(self) -> TemplateMatcher:
        """Maps masked lines to the model's templates; built once."""
        return TemplateMatcher(Template(info.id, info.text) for info in self.templates)

    @cached_property
    def template_by_id(self) -> dict[str, TemplateInfo]:
        """Templates by id."""
        return {info.id: info for info in self.templates}

    @cached_property
    def source_vectors(self) -> Float32:
        """Event vectors of the source system's templates, float32 [source events, D]."""
        return self.embedder.embed_all(self.source_texts)

    def nearest_source(self, event_id: str, text: str) -> tuple[str, float]:
        """The source event most like an event, and its cosine; ("", 0.0) without source events or words."""
        info = self.template_by_id.get(event_id)
        if info is not None:
            return info.nearest_source, info.source_cosine
        return nearest(self.embedder.embed(text), self.source_vectors, self.source_texts)


def nearest(vector: Float32, table: Float32, texts: Sequence[str]) -> tuple[str, float]:
    """The text whose unit vector has the largest cosine with `vector`, and the cosine; ("", 0.0) if none is above 0."""
    if not texts:
        return "", 0.0
    cosines = table.astype(np.float64) @ vector.astype(np.float64)
    best = int(np.argmax(cosines))
    cosine = float(min(1.0, cosines[best]))
    return (texts[best], cosine) if cosine > 0 else ("", 0.0)
