"""The files beside an artifact's manifest (templates, words, tensors), and the embedder and network made of them."""

import msgspec
import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
import torch

from detector.artifact.manifest import Vocabulary
from detector.errors import ArtifactError
from detector.model.count_path import CountPath
from detector.model.embedding import Embedder, WordVectors
from detector.model.network import SmallModel
from detector.model.shape import NetworkShape

MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"
TEMPLATES = "templates.json"
NETWORK_PREFIX = "network."
WORD_VECTORS = "word_vectors"
COUNT_WEIGHTS, COUNT_BIAS = "counts.weights", "counts.bias"


def read_vocabulary(content: bytes) -> Vocabulary:
    """The content of `templates.json`, checked.

    Raises:
        ArtifactError: the content is not of this form.
    """
    try:
        vocabulary = msgspec.json.decode(content, type=Vocabulary)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{TEMPLATES} must hold templates, source templates and idf: {error}") from error
    texts = [entry.text for entry in vocabulary.templates]
    if len(set(texts)) != len(texts):
        raise ArtifactError(f"{TEMPLATES} must name each template once, got one twice: train again")
    if not texts:
        raise ArtifactError(f"{TEMPLATES} must name at least one template, got none: train on more lines")
    return vocabulary


def read_tensors(content: bytes) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors of a safetensors file by name, checked to be finite and float32.

    Raises:
        ArtifactError: the content is not of this form.
    """
    try:
        tensors: dict[str, npt.NDArray[np.float32]] = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise ArtifactError(f"{WEIGHTS} must be safetensors, got {len(content)} other bytes: {error}") from error
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32:
            raise ArtifactError(f"tensor {name} must be float32, got {tensor.dtype}")
        if not np.isfinite(tensor).all():
            raise ArtifactError(f"tensor {name} must be finite, got NaN or infinity: train again")
    return tensors


def read_embedder(vocabulary: Vocabulary, rows: npt.NDArray[np.float32] | None) -> Embedder:
    """The embedder made of word weights and word vectors, checked to fit each other.

    Raises:
        ArtifactError: the content is not of this form.
    """
    if rows is None and not vocabulary.word_vectors:
        return Embedder(vocabulary.idf, vocabulary.unseen_idf)
    try:
        vectors = WordVectors(vocabulary.word_vectors, np.zeros((0, 0), np.float32) if rows is None else rows)
    except ValueError as error:
        raise ArtifactError(f"tensor {WORD_VECTORS} must fit the words of {TEMPLATES}: {error}") from error
    return Embedder(vocabulary.idf, vocabulary.unseen_idf, vectors)


def count_tensors(path: CountPath) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors that `read_count_path` reads."""
    return {COUNT_WEIGHTS: path.weights.astype(np.float32), COUNT_BIAS: np.array([path.bias], np.float32)}


def read_count_path(tensors: dict[str, npt.NDArray[np.float32]], templates: int) -> CountPath | None:
    """The count path, taken out of `tensors`; None where there is none. It must have a row for each template.

    Raises:
        ArtifactError: the tensors are not of this form.
    """
    weights, bias = tensors.pop(COUNT_WEIGHTS, None), tensors.pop(COUNT_BIAS, None)
    if weights is None and bias is None:
        return None
    if weights is None or bias is None or weights.shape != (templates, 2) or bias.shape != (1,):
        shapes = [None if tensor is None else tensor.shape for tensor in (weights, bias)]
        raise ArtifactError(
            f"tensors {COUNT_WEIGHTS} and {COUNT_BIAS} must be of shapes {(templates, 2)} and (1,), got {shapes}"
        )
    return CountPath(weights, float(bias[0]))


def read_network(shape: NetworkShape, tensors: dict[str, npt.NDArray[np.float32]]) -> SmallModel:
    """The network, ready to score; the tensors are checked to have exactly its names and shapes.

    Raises:
        ArtifactError: the content is not of this form.
    """
    with torch.device("meta"):  # no memory and no random numbers for weights that are replaced at once
        network = SmallModel(shape)
    expected = {NETWORK_PREFIX + name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if found != expected:
        wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise ArtifactError(
            f"tensors must have the names and shapes of the network, got {wrong[0]} of {found.get(wrong[0])}, "
            f"expected {expected.get(wrong[0])}"
        )
    state = {name.removeprefix(NETWORK_PREFIX): torch.tensor(tensor) for name, tensor in tensors.items()}
    network.load_state_dict(state, assign=True)
    return network.eval()
