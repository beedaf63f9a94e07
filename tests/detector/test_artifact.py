"""Packing a model, and refusing everything that is not exactly what was packed."""

import dataclasses
import hashlib
import json
import pickle
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy

from detector.artifact.export import pack, read_manifest, unpack
from detector.artifact.manifest import Lineage
from detector.errors import ArtifactError
from detector.model.calibration import Calibration
from detector.model.detection_model import TemplateInfo
from detector.model.embedding import Embedder, WordVectors, idf_of
from detector.model.network import SmallModel
from detector.model.runs import run_lengths
from detector.model.scoring import Scorer
from detector.model.shape import NetworkShape
from detector.parsing.templates import template_id
from detector.system import MaskRule, SystemSpec
from detector.testing import SYSTEM, tiny_files, tiny_model

Array = npt.NDArray[np.float32]

WEIGHTS, TEMPLATES, MANIFEST = "model.safetensors", "templates.json", "manifest.json"


def sha(content: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(content).hexdigest()


def parts(**changes: Any) -> dict[str, Any]:
    """Arguments of `pack` for the smallest model."""
    texts = ["disk <NUM> failed", "disk <NUM> repaired"]
    embedder = Embedder(*idf_of(texts))
    values = {
        "spec": SYSTEM,
        "templates": [TemplateInfo(text, 3, 0.25, "drive failed") for text in texts],
        "source_texts": ["drive failed"],
        "embedder": embedder,
        "network": tiny_network(embedder.dim),
        "labeller": "heuristic",
        "created_ms": 12,
        "golden_runs": [run_lengths([template_id(texts[0])])],
    }
    return values | changes


def tiny_network(event_dim: int) -> SmallModel:
    """A network whose weights are all alike, the same in every run."""
    network = SmallModel(NetworkShape(event_dim=event_dim, hidden=4))
    for value in network.parameters():
        value.data.fill_(0.05)
    return network


def rewritten(files: dict[str, bytes], /, **changes: Any) -> dict[str, bytes]:
    """The files with fields of the manifest changed, hashes made to agree."""
    return files | {MANIFEST: json.dumps(json.loads(files[MANIFEST]) | changes).encode()}


def with_content(files: dict[str, bytes], name: str, content: bytes) -> dict[str, bytes]:
    """The files with one content replaced and the manifest's hash and size made to agree."""
    entries = json.loads(files[MANIFEST])["files"]
    return rewritten(files | {name: content}, files=entries | {name: {"sha256": sha(content), "bytes": len(content)}})


def with_tensor(files: dict[str, bytes], name: str, change: Callable[[Array], Array]) -> dict[str, bytes]:
    """The files with one tensor changed, hashes made to agree."""
    tensors = safetensors.numpy.load(files[WEIGHTS])
    tensors[name] = change(tensors[name])
    return with_content(files, WEIGHTS, safetensors.numpy.save(tensors))


def with_vocabulary(files: dict[str, bytes], **changes: Any) -> dict[str, bytes]:
    """The files with fields of templates.json changed, hashes made to agree."""
    return with_content(files, TEMPLATES, json.dumps(json.loads(files[TEMPLATES]) | changes).encode())


def poisoned(value: float) -> Callable[[Array], Array]:
    """A change that sets the first element of a tensor."""

    def change(tensor: Array) -> Array:
        tensor = tensor.copy()
        tensor.flat[0] = value
        return tensor

    return change


def flipped(content: bytes, at: int) -> bytes:
    """The bytes with one bit flipped."""
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def without(files: dict[str, bytes], name: str) -> dict[str, bytes]:
    """The files but one."""
    return {key: content for key, content in files.items() if key != name}


HEAD = "network.head.1.weight"

REFUSALS: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], str]] = {
    "weights cut short": (lambda f: f | {WEIGHTS: f[WEIGHTS][:-10]}, r"model.safetensors must be \d+ bytes"),
    "templates cut short": (lambda f: f | {TEMPLATES: f[TEMPLATES][:-1]}, r"templates.json must be \d+ bytes"),
    "manifest cut short": (lambda f: f | {MANIFEST: f[MANIFEST][:-20]}, "must be a model manifest"),
    "empty file": (lambda f: f | {WEIGHTS: b""}, "got 0: it was cut"),
    "bit flipped in the weights": (lambda f: f | {WEIGHTS: flipped(f[WEIGHTS], -5)}, "model.safetensors must hash to"),
    "bit flipped in the templates": (
        lambda f: f | {TEMPLATES: flipped(f[TEMPLATES], 9)},
        "templates.json must hash to",
    ),
    "not a number": (lambda f: with_tensor(f, HEAD, poisoned(np.nan)), "head.1.weight must be finite"),
    "infinite": (lambda f: with_tensor(f, HEAD, poisoned(-np.inf)), "head.1.weight must be finite"),
    "wrong shape": (lambda f: with_tensor(f, HEAD, lambda t: t[:, 1:]), "names and shapes of the network"),
    "wrong type": (lambda f: with_tensor(f, HEAD, lambda t: t.astype(np.float16)), "must be float32, got float16"),
    "unknown tensor": (
        lambda f: with_content(
            f,
            WEIGHTS,
            safetensors.numpy.save(safetensors.numpy.load(f[WEIGHTS]) | {"evil": np.zeros(1, np.float32)}),
        ),
        "got evil of",
    ),
    "other width": (
        lambda f: rewritten(f, network={"event_dim": 256, "hidden": 17, "attention": "bounded"}),
        "names and shapes of the network",
    ),
    "absurd width": (
        lambda f: rewritten(f, network={"event_dim": 256, "hidden": 10**9, "attention": "bounded"}),
        "of sensible size",
    ),
    "other event width": (
        lambda f: rewritten(f, network={"event_dim": 300, "hidden": 16, "attention": "bounded"}),
        "of width 300, got hashed-lexical of width 256",
    ),
    "missing weights": (lambda f: without(f, WEIGHTS), r"missing \['model.safetensors'\]"),
    "missing manifest": (lambda f: without(f, MANIFEST), "must hold manifest.json"),
    "extra file": (lambda f: f | {"run_me.py": b"import os"}, r"extra \['run_me.py'\]"),
    "manifest names an extra file": (
        lambda f: rewritten(f, files=json.loads(f[MANIFEST])["files"] | {"x.py": {"sha256": "0", "bytes": 0}}),
        "must name model.safetensors and templates.json",
    ),
    "pickle for weights": (
        lambda f: with_content(f, WEIGHTS, pickle.dumps({"weight": [1.0]})),
        "must be safetensors, got",
    ),
    "pickle for the manifest": (lambda f: f | {MANIFEST: pickle.dumps({})}, "must be a model manifest"),
    "no safetensors header": (lambda f: with_content(f, WEIGHTS, b"\xff" * 64), "must be safetensors, got"),
    "golden scores moved": (
        lambda f: rewritten(f, golden=[g | {"score": g["score"] + 2e-4} for g in json.loads(f[MANIFEST])["golden"]]),
        "golden window 0 must score",
    ),
    "golden window removed": (lambda f: rewritten(f, golden=[]), "golden windows must be at least one"),
    "golden window of unknown events": (
        lambda f: rewritten(f, golden=[{"runs": [["nobody", 1]], "score": 0.5}]),
        "the model's own templates, got nobody",
    ),
    "golden window of negative runs": (
        lambda f: rewritten(f, golden=[{"runs": [[tiny_model().templates[0].id, -1]], "score": 0.5}]),
        "runs of at least one line",
    ),
    "weights of another model": (lambda f: with_tensor(f, HEAD, lambda t: t * 0.5), "golden window . must score"),
    "future major": (lambda f: rewritten(f, schema_version="2.0"), "major version 1, got '2.0': upgrade"),
    "field missing": (
        lambda f: f | {MANIFEST: json.dumps({"files": json.loads(f[MANIFEST])["files"]}).encode()},
        "must be a model manifest: .*system",
    ),
    "deep JSON": (lambda f: f | {MANIFEST: b"[" * 100_000}, "must be a model manifest"),
    "broken spec": (lambda f: rewritten(f, spec={"name": "UPPER"}), "must be a system's settings"),
    "foreign fingerprint": (lambda f: rewritten(f, spec_fingerprint="0" * 16), "fingerprint that the manifest holds"),
    "foreign system": (lambda f: rewritten(f, system="other"), "system name and fingerprint"),
    "zero temperature": (
        lambda f: rewritten(f, calibration={"temperature": 0.0, "bias": 0.0}),
        "temperature must be above 0",
    ),
    "threshold above one": (lambda f: rewritten(f, threshold=1.5), "threshold must be between 0 and 1"),
    "infinite bias": (
        lambda f: f | {MANIFEST: f[MANIFEST].replace(b'"bias":0.0', b'"bias":1e999')},
        "must be a model manifest|bias must be finite",
    ),
    "broken templates": (lambda f: with_content(f, TEMPLATES, b"{}"), "templates.json must hold templates"),
    "no templates": (lambda f: with_vocabulary(f, templates=[]), "at least one template"),
    "template named twice": (
        lambda f: with_vocabulary(f, templates=[{"text": "a b"}, {"text": "a b"}]),
        "each template once",
    ),
    "word vectors without words": (
        lambda f: with_content(
            f,
            WEIGHTS,
            safetensors.numpy.save(safetensors.numpy.load(f[WEIGHTS]) | {"word_vectors": np.zeros((2, 3), np.float32)}),
        ),
        "word_vectors must fit",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_anything_but_what_was_packed_is_refused(case: str) -> None:
    """A cut, altered, foreign or poisoned artifact raises ArtifactError, and the message names what is wrong."""
    alter, message = REFUSALS[case]

    with pytest.raises(ArtifactError, match=message):
        unpack(alter(dict(tiny_files())))


def test_the_pointer_s_hash_is_checked() -> None:
    """A whole, valid artifact that is not the one the pointer names is refused."""
    files = tiny_files()
    with pytest.raises(ArtifactError, match=r"manifest\.json must hash to"):
        unpack(files, "0" * 64)
    assert unpack(files, sha(files[MANIFEST])).sha256 == sha(files[MANIFEST])


def test_size_is_checked_before_anything_is_read() -> None:
    """Too many bytes are refused even where their content could not be read."""
    files = tiny_files()
    size = sum(map(len, files.values()))

    assert unpack(files, None, size).name == "orders"
    with pytest.raises(ArtifactError, match=f"at most {size - 1} bytes, got {size}"):
        unpack(files | {MANIFEST: b"x" * len(files[MANIFEST])}, None, size - 1)


def test_the_same_parts_give_the_same_bytes() -> None:
    """An artifact's id is a function of its parts: packed twice, and again after loading, nothing differs."""
    files = pack(**parts())
    model = unpack(files)
    again = pack(
        **parts(
            templates=model.templates, source_texts=model.source_texts, embedder=model.embedder, network=model.network
        )
    )

    assert pack(**parts()) == files == again
    assert pack(**parts(created_ms=13))[MANIFEST] != files[MANIFEST]
    assert pack(**parts(created_ms=13))[WEIGHTS] == files[WEIGHTS]


def test_a_loaded_model_is_the_packed_one() -> None:
    """Everything that was packed comes back, and scores are equal to the last bit."""
    spec = SystemSpec(name="disks", masks=(MaskRule(name="RACK", pattern=r"r\d+"),))
    packed = parts(
        spec=spec,
        threshold=0.4,
        calibration=Calibration(temperature=2.0, bias=-0.5),
        general_cosine=0.7,
        source_system="drives",
        metrics={"agreement": 0.91},
        transfer_readiness=0.8,
        lineage=Lineage(target_offsets={"raw/0": (5, 99)}, seeds={"meta": 3}, libraries={"torch": "2"}),
    )
    files = pack(**packed)
    model = unpack(files, version=7)

    assert (model.name, model.version, model.labeller) == ("disks", 7, "heuristic")
    assert (model.threshold, model.calibration, model.general_cosine) == (0.4, packed["calibration"], 0.7)
    assert model.spec_fingerprint == spec.fingerprint()
    assert model.templates == tuple(packed["templates"])
    assert model.source_texts == ("drive failed",)
    manifest = read_manifest(files[MANIFEST])
    assert manifest.lineage == packed["lineage"]
    assert (manifest.transfer_readiness, manifest.metrics) == (0.8, {"agreement": 0.91})
    assert not model.network.training
    window = [run_lengths([model.templates[1].id])]
    twin = dataclasses.replace(model, network=packed["network"], embedder=packed["embedder"])
    assert Scorer(model).score(window, {})[0] == Scorer(twin).score(window, {})[0]


def test_word_vectors_travel_in_the_artifact() -> None:
    """An agent needs no vector file: the rows that the templates need are inside."""
    vectors = WordVectors(["disk", "failed"], np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32))
    embedder = Embedder(*idf_of(["disk <NUM> failed"]), vectors)

    model = unpack(pack(**parts(embedder=embedder, network=tiny_network(embedder.dim))))

    assert model.embedder.provider == "glove+hashed-lexical"
    assert np.array_equal(model.embedder.embed("disk lost"), embedder.embed("disk lost"))


def test_unknown_fields_of_a_minor_version_are_ignored() -> None:
    """A newer trainer may add fields; this release reads the rest."""
    files = rewritten(tiny_files(), schema_version="1.9", carbon_grams=3)

    assert unpack(files).name == read_manifest(files[MANIFEST]).system


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": {"f1": float("nan")}}, "metrics.f1 must be finite, got nan"),
        ({"calibration": Calibration(temperature=0.0)}, "temperature must be above 0"),
        ({"calibration": Calibration(bias=float("inf"))}, "bias must be finite"),
        ({"threshold": -0.1}, "threshold must be between 0 and 1"),
        ({"templates": []}, "at least one template"),
        ({"golden_runs": []}, "golden_runs must be at least one"),
        ({"network": SmallModel(NetworkShape(event_dim=8, hidden=4))}, "of width 8, got hashed-lexical of width 256"),
    ],
)
def test_what_would_not_load_is_not_packed(changes: dict[str, Any], message: str) -> None:
    """A bad part is refused when it is packed, not only when it is loaded."""
    with pytest.raises(ArtifactError, match=message):
        pack(**parts(**changes))


def test_weights_that_are_not_finite_are_not_packed() -> None:
    """A training that diverged cannot be published."""
    network = tiny_network(256)
    network.get_parameter("head.1.weight").data[0, 0] = float("nan")

    with pytest.raises(ArtifactError, match="must be finite, got NaN"):
        pack(**parts(network=network))


def test_the_manifest_is_readable_alone() -> None:
    """Listing models needs the manifest only, and it names what it stands for."""
    manifest = read_manifest(tiny_files()[MANIFEST])

    assert (manifest.system, manifest.embedding, manifest.network.event_dim) == ("orders", "hashed-lexical", 256)
    assert len(manifest.golden) == 8
    assert msgspec.json.decode(tiny_files()[MANIFEST])["spec"]["name"] == "orders"
