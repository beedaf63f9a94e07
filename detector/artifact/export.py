"""The model artifact: `manifest.json`, `model.safetensors`, `templates.json`; packed, verified, kept in a folder.

Nothing in it runs code when read. The id of an artifact is the hash of its manifest, and the manifest names the hash of
each other file; the bytes that are hashed are the bytes that are loaded. Before a model may serve it re-scores its own
golden windows and parses its golden lines.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import safetensors.numpy
from pydantic import ValidationError

from detector.artifact.folder import MAX_BYTES
from detector.artifact.golden import check_lines, check_windows, golden_lines, golden_windows
from detector.artifact.manifest import FileEntry, Lineage, Manifest, Vocabulary
from detector.artifact.tensors import (
    MANIFEST,
    NETWORK_PREFIX,
    TEMPLATES,
    WEIGHTS,
    WORD_VECTORS,
    count_tensors,
    read_count_path,
    read_embedder,
    read_network,
    read_tensors,
    read_vocabulary,
)
from detector.errors import ArtifactError
from detector.model.calibration import Calibration
from detector.model.count_path import CountPath
from detector.model.detection_model import DetectionModel, TemplateInfo
from detector.model.embedding import Embedder
from detector.model.network import SmallModel
from detector.model.runs import Runs
from detector.system import SystemSpec
from schemas.chunks import sha256_of
from schemas.codec import decode, encode
from schemas.errors import RecordError

_MAX_HIDDEN = 4_096
_MAX_EVENT_DIM = 16_384


# Long: its arguments are the parts of an artifact, and the manifest is written out.
def pack(
    *,
    spec: SystemSpec,
    templates: Sequence[TemplateInfo],
    source_texts: Sequence[str],
    embedder: Embedder,
    network: SmallModel,
    count_path: CountPath | None = None,
    labeller: str,
    created_ms: int,
    golden_runs: Sequence[Runs],
    general_cosine: float = 0.5,
    threshold: float = 0.5,
    calibration: Calibration | None = None,
    source_system: str = "",
    metrics: Mapping[str, float] | None = None,
    transfer_readiness: float | None = None,
    lineage: Lineage | None = None,
) -> dict[str, bytes]:
    """The files of an artifact, ready to be stored; the same arguments give the same bytes.

    `network` is trained, of the embedder's width; `count_path` has a row for each template; `embedder` has the IDF that
    is frozen with the model. `golden_runs` are windows of `templates` whose scores any loader must reproduce, a few
    dozen of all kinds. `created_ms` is an argument so that equal trainings give equal bytes. The others are as in
    `Manifest` and `Vocabulary`.

    Raises:
        ArtifactError: the parts would not make an artifact that loads.
    """
    contents = _contents(templates, source_texts, embedder, network, count_path)
    manifest = Manifest(
        files={name: FileEntry(sha256_of(content), len(content)) for name, content in contents.items()},
        system=spec.name,
        created_ms=created_ms,
        spec=spec.model_dump(mode="json"),
        spec_fingerprint=spec.fingerprint(),
        network=network.shape,
        embedding=embedder.provider,
        calibration=calibration or Calibration(),
        threshold=threshold,
        general_cosine=general_cosine,
        labeller=labeller,
        source_system=source_system,
        metrics=dict(metrics or {}),
        transfer_readiness=transfer_readiness,
        lineage=lineage or Lineage(),
    )
    _check_numbers(manifest)
    draft = _assembled(manifest, contents, "", 0)
    if not golden_runs:
        raise ArtifactError("golden_runs must be at least one window, got none: pass windows of the training corpus")
    manifest = msgspec.structs.replace(
        manifest, golden=golden_windows(draft, golden_runs), golden_lines=golden_lines(draft, spec)
    )
    return {MANIFEST: encode(manifest), **contents}


def _contents(
    templates: Sequence[TemplateInfo],
    source_texts: Sequence[str],
    embedder: Embedder,
    network: SmallModel,
    count_path: CountPath | None,
) -> dict[str, bytes]:
    tensors = {NETWORK_PREFIX + name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}
    if count_path is not None:
        tensors |= count_tensors(count_path)
    word_vectors = embedder.word_vectors
    if word_vectors is not None:
        tensors[WORD_VECTORS] = word_vectors.rows
    vocabulary = Vocabulary(
        templates=tuple(templates),
        source_texts=tuple(source_texts),
        idf=embedder.idf,
        unseen_idf=embedder.unseen_idf,
        word_vectors=word_vectors.vocabulary if word_vectors else (),
    )
    return {
        WEIGHTS: safetensors.numpy.save({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}),
        TEMPLATES: encode(vocabulary),
    }


def unpack(
    files: Mapping[str, bytes], expected_sha256: str | None = None, max_bytes: int = MAX_BYTES, *, version: int = 0
) -> DetectionModel:
    """The model in an artifact's files, verified.

    Args:
        files: content by name, as `read_folder` and `broker.registry.artifacts.load_artifact` give it.
        expected_sha256: the artifact's id, where a pointer named one.
        max_bytes: more than this is refused before any of it is parsed.
        version: the pointer's version.

    Raises:
        ArtifactError: the artifact is incomplete, altered, too large, not finite, of the wrong shape, or does not score
            as it did when it was made. The message names the cause.
    """
    size = sum(map(len, files.values()))
    if size > max_bytes:
        raise ArtifactError(f"artifact must be at most {max_bytes} bytes, got {size}: raise the limit or train smaller")
    if MANIFEST not in files:
        raise ArtifactError(f"artifact must hold {MANIFEST}, got {sorted(files)}: fetch it again")
    sha256 = sha256_of(files[MANIFEST])
    if expected_sha256 is not None and sha256 != expected_sha256:
        raise ArtifactError(f"{MANIFEST} must hash to {expected_sha256}, got {sha256}: fetch it again")
    manifest = read_manifest(files[MANIFEST])
    _check_files(manifest, files)
    model = _assembled(manifest, files, sha256, version)
    check_windows(model, manifest.golden)
    check_lines(model, _spec(manifest), manifest.golden_lines)
    return model


def read_manifest(payload: bytes) -> Manifest:
    """The manifest, decoded, with its numbers checked; the other files are not looked at.

    Raises:
        ArtifactError: the bytes are not a manifest, or one of an incompatible release.
    """
    try:
        manifest = decode(payload, Manifest)
    except RecordError as error:
        raise ArtifactError(f"{MANIFEST} must be a model manifest: {error}") from error
    if set(manifest.files) != {WEIGHTS, TEMPLATES}:
        raise ArtifactError(f"{MANIFEST} must name {WEIGHTS} and {TEMPLATES}, got {sorted(manifest.files)}")
    _check_numbers(manifest)
    return manifest


def _check_files(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    missing, extra = set(manifest.files) - set(files), set(files) - set(manifest.files) - {MANIFEST}
    if missing or extra:
        raise ArtifactError(
            f"artifact must hold {sorted(manifest.files)} and no more, got missing {sorted(missing)}, "
            f"extra {sorted(extra)}: fetch it again"
        )
    for name, entry in manifest.files.items():
        if len(files[name]) != entry.bytes:
            raise ArtifactError(f"{name} must be {entry.bytes} bytes, got {len(files[name])}: it was cut or altered")
        if sha256_of(files[name]) != entry.sha256:
            raise ArtifactError(f"{name} must hash to {entry.sha256}, got {sha256_of(files[name])}: it was altered")


def _check_numbers(manifest: Manifest) -> None:
    numbers = {
        "threshold": manifest.threshold,
        "temperature": manifest.calibration.temperature,
        "bias": manifest.calibration.bias,
        "general_cosine": manifest.general_cosine,
        "transfer_readiness": manifest.transfer_readiness or 0.0,
        **{f"metrics.{name}": value for name, value in manifest.metrics.items()},
    }
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise ArtifactError(f"{name} must be finite, got {value}: train again")
    if manifest.calibration.temperature <= 0:
        raise ArtifactError(f"temperature must be above 0, got {manifest.calibration.temperature}: train again")
    if not 0 <= manifest.threshold <= 1:
        raise ArtifactError(f"threshold must be between 0 and 1, got {manifest.threshold}: train again")
    shape = manifest.network
    if not (1 <= shape.hidden <= _MAX_HIDDEN and 1 <= shape.event_dim <= _MAX_EVENT_DIM):
        raise ArtifactError(f"network must be of sensible size, got hidden {shape.hidden}, event_dim {shape.event_dim}")


def _spec(manifest: Manifest) -> SystemSpec:
    try:
        return SystemSpec.model_validate(manifest.spec)
    except ValidationError as error:
        raise ArtifactError(f"spec must be a system's settings, got: {error}") from error


def _assembled(manifest: Manifest, files: Mapping[str, bytes], sha256: str, version: int) -> DetectionModel:
    spec = _spec(manifest)
    if not spec.accepts(manifest.spec_fingerprint) or spec.name != manifest.system:
        raise ArtifactError("spec must have the system name and fingerprint that the manifest holds: train again")
    vocabulary = read_vocabulary(files[TEMPLATES])
    tensors = read_tensors(files[WEIGHTS])
    embedder = read_embedder(vocabulary, tensors.pop(WORD_VECTORS, None))
    count_path = read_count_path(tensors, len(vocabulary.templates))
    if embedder.dim != manifest.network.event_dim or embedder.provider != manifest.embedding:
        raise ArtifactError(
            f"event vectors must be {manifest.embedding} of width {manifest.network.event_dim}, "
            f"got {embedder.provider} of width {embedder.dim}"
        )
    return DetectionModel(
        name=manifest.system,
        version=version,
        sha256=sha256,
        spec_fingerprint=manifest.spec_fingerprint,
        templates=vocabulary.templates,
        source_texts=vocabulary.source_texts,
        embedder=embedder,
        network=read_network(manifest.network, tensors),
        threshold=manifest.threshold,
        calibration=manifest.calibration,
        general_cosine=manifest.general_cosine,
        labeller=manifest.labeller,
        count_path=count_path,
    )
