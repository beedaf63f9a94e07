"""The inputs of a training run, after both systems were read."""

from collections.abc import Sequence
from dataclasses import dataclass

from detector.model.embedding import Embedder
from detector.model.shape import NetworkShape
from detector.parsing.templates import Template
from detector.system import SystemSpec
from trainer.data.signatures import Corpus
from trainer.labelling.base import MakeLabeller


@dataclass(frozen=True)
class Systems:
    """Both systems of a run, as read.

    Attributes:
        spec: of the target.
        source: labelled corpus.
        target: unlabelled corpus.
        templates: frozen templates of the target.
    """

    spec: SystemSpec
    source: Corpus
    target: Corpus
    templates: Sequence[Template]


@dataclass(frozen=True)
class TrainingContext:
    """What every worker of a run gets.

    Attributes:
        spec, templates: of the target; the templates are frozen.
        seed: of everything random.
        labellers: number of labellers.
        milvus: path of Milvus Lite or address of a server, None for exact search.
    """

    spec: SystemSpec
    templates: Sequence[Template]
    source: Corpus
    target: Corpus
    embedder: Embedder
    shape: NetworkShape
    seed: int
    make_labeller: MakeLabeller
    labellers: int = 1
    milvus: str | None = None
