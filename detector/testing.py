"""Fakes and small real things for every package's tests: a model made in a second, a store in memory, sample lines."""

import random
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from detector.artifact.export import pack, unpack
from detector.model.detection_model import DetectionModel, TemplateInfo, nearest
from detector.model.embedding import Embedder, idf_of
from detector.model.network import SmallModel, collate
from detector.model.runs import Runs, run_lengths
from detector.model.shape import NetworkShape
from detector.parsing.masking import Masker
from detector.parsing.templates import template_id
from detector.system import SystemSpec, WindowSpec
from schemas.chunks import sha256_of

SYSTEM = SystemSpec(
    name="orders",
    key_pattern=r"\border=(\S+)",
    window=WindowSpec(kind="session", idle_seconds=60),
)
"""The system that `tiny_model` is for: lines that name `order=…`, sessions of a minute."""

NORMAL_LINES = (
    "order=17 received from 10.0.0.7",
    "order=17 payment of 250 accepted",
    "order=17 packed in box 4",
    "order=17 shipped by carrier 12",
)
"""Lines of a normal order, in order."""

ANOMALOUS_LINES = (
    "order=17 payment gateway refused the card after 3 attempts",
    "order=17 stock ledger mismatch in warehouse 9",
)
"""Lines that only anomalous orders have."""

SOURCE_TEXTS = ("request <NUM> accepted", "request <NUM> refused by gateway", "parcel <NUM> shipped")


@lru_cache(maxsize=16)
def tiny_files(
    spec: SystemSpec = SYSTEM,
    normal: tuple[str, ...] = NORMAL_LINES,
    anomalous: tuple[str, ...] = ANOMALOUS_LINES,
    seed: int = 0,
    steps: int = 40,
    hidden: int = 16,
    threshold: float = 0.5,
) -> dict[str, bytes]:
    """Files of a small real artifact, trained until a window with one of `anomalous` scores high; not to be altered.

    Args:
        spec: the system it is for.
        normal: lines (text after the layout's prefix); the model's templates are these and the next, masked.
        anomalous: lines whose presence makes a window anomalous.
        seed: of the windows and of the network.
        steps: of training; 0 leaves the seeded random network.
        hidden: width of the network.
        threshold: of the model.
    """
    masker = Masker(spec.masks, spec.max_tokens)
    good, bad = (list(dict.fromkeys(masker.mask(line) for line in lines)) for lines in (normal, anomalous))
    texts = good + [text for text in bad if text not in good]
    embedder = Embedder(*idf_of([*texts, *SOURCE_TEXTS]))
    windows = _windows([template_id(text) for text in good], [template_id(text) for text in bad], seed)
    network = _trained(embedder, texts, windows, seed=seed, steps=steps, hidden=hidden)
    source_vectors = embedder.embed_all(SOURCE_TEXTS)
    templates = []
    for text in texts:
        source, cosine = nearest(embedder.embed(text), source_vectors, SOURCE_TEXTS)
        templates.append(TemplateInfo(text, count=10, source_cosine=cosine, nearest_source=source))
    return pack(
        spec=spec,
        templates=templates,
        source_texts=SOURCE_TEXTS,
        embedder=embedder,
        network=network,
        labeller="heuristic",
        created_ms=1_700_000_000_000,
        golden_runs=[runs for runs, _ in windows[:8]],
        general_cosine=0.3,
        threshold=threshold,
        source_system="starter",
        metrics={"agreement": 0.9},
    )


def tiny_model(
    spec: SystemSpec = SYSTEM,
    normal: tuple[str, ...] = NORMAL_LINES,
    anomalous: tuple[str, ...] = ANOMALOUS_LINES,
    *,
    seed: int = 0,
    steps: int = 40,
    hidden: int = 16,
    threshold: float = 0.5,
    version: int = 1,
) -> DetectionModel:
    """The model in `tiny_files`, loaded as an agent loads it."""
    files = tiny_files(spec, normal, anomalous, seed, steps, hidden, threshold)
    return unpack(files, sha256_of(files["manifest.json"]), version=version)


def _windows(good: Sequence[str], bad: Sequence[str], seed: int) -> list[tuple[Runs, float]]:
    """Alternately a normal window and one with an anomalous event somewhere in it."""
    chance = random.Random(seed)  # noqa: S311 - a test's windows
    windows = []
    for index in range(64):
        first = chance.randrange(len(good))
        events = [event for event in (*good[first:], *good[:first]) for _ in range(chance.choice((1, 1, 2)))]
        events = events[: chance.randint(1, len(events))]
        anomalous = index % 2 == 1 and bool(bad)
        if anomalous:
            events.insert(chance.randint(0, len(events)), bad[(index // 2) % len(bad)])
        windows.append((run_lengths(events), float(anomalous)))
    return windows


def _trained(
    embedder: Embedder,
    texts: Sequence[str],
    windows: Sequence[tuple[Runs, float]],
    *,
    seed: int,
    steps: int,
    hidden: int,
) -> SmallModel:
    table = torch.from_numpy(embedder.embed_all(texts))
    rows, runs, lengths = collate(
        [window for window, _ in windows], {template_id(text): row for row, text in enumerate(texts)}
    )
    labels = torch.tensor([label for _, label in windows])
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they were
        torch.manual_seed(seed)
        network = SmallModel(NetworkShape(event_dim=embedder.dim, hidden=hidden), dropout=0.0)
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        for _ in range(steps):
            loss = binary_cross_entropy_with_logits(network(table[rows], runs, lengths), labels)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    return network.eval()
