"""The small model: batches do not matter; order, counts and presence do."""

import pytest
import torch
from torch import Tensor

from detector.model.network import MAX_RUNS, SmallModel, collate
from detector.model.runs import Runs
from detector.model.shape import NetworkShape

EVENTS = 12


@pytest.fixture(scope="module")
def table() -> Tensor:
    """A table of random event vectors."""
    return torch.randn(EVENTS, 24, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module", params=["bounded", "unbounded"])
def model(request: pytest.FixtureRequest) -> SmallModel:
    """The model under test."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return SmallModel(NetworkShape(event_dim=24, hidden=16, attention=request.param)).eval()


@pytest.fixture(scope="module")
def row_of() -> dict[str, int]:
    """Rows of the event ids e0 to e11."""
    return {f"e{row}": row for row in range(EVENTS)}


def logits(model: SmallModel, table: Tensor, row_of: dict[str, int], windows: list[Runs]) -> Tensor:
    """Logits of windows in one batch."""
    rows, runs, lengths = collate(windows, row_of)
    with torch.inference_mode():
        return model.classify(model.features(table[rows], runs, lengths))


def random_windows(count: int, longest: int) -> list[Runs]:
    """Seeded windows of 1 to `longest` runs."""
    generator = torch.Generator().manual_seed(count)
    windows = []
    for _ in range(count):
        length = int(torch.randint(1, longest + 1, (1,), generator=generator))
        events = torch.randint(0, EVENTS, (length,), generator=generator).tolist()
        runs = torch.randint(1, 9, (length,), generator=generator).tolist()
        windows.append(tuple((f"e{event}", run) for event, run in zip(events, runs, strict=True)))
    return windows


def test_batch_of_one_equals_batch_of_256(model: SmallModel, table: Tensor, row_of: dict[str, int]) -> None:
    """Padding and company change no logit by 1e-5."""
    windows = random_windows(256, 60)

    together = logits(model, table, row_of, windows)
    alone = torch.cat([logits(model, table, row_of, [window]) for window in windows])

    assert (together - alone).abs().max() < 1e-5
    assert together.std() > 1e-3


def test_precomputed_projection_is_exact(model: SmallModel, table: Tensor, row_of: dict[str, int]) -> None:
    """Projecting the table once and gathering rows gives the logits of projecting every step."""
    windows = random_windows(32, 40)
    rows, runs, lengths = collate(windows, row_of)

    with torch.inference_mode():
        gathered = model.classify(model.extractor.encode(model.extractor.project(table)[rows], runs, lengths))
        direct = model(table[rows], runs, lengths)

    assert (gathered - direct).abs().max() < 1e-5


@pytest.mark.parametrize(
    "other",
    [
        (("e1", 1), ("e0", 1), ("e2", 1)),
        (("e0", 9), ("e1", 1), ("e2", 1)),
        (("e0", 1), ("e1", 1)),
        (("e0", 1), ("e1", 1), ("e2", 1), ("e3", 1)),
        (("e0", 1), ("e1", 1), ("e2", 1), ("e0", 1)),
    ],
    ids=["order", "count", "missing", "present", "repeated"],
)
def test_order_counts_and_presence_are_visible(
    model: SmallModel, table: Tensor, row_of: dict[str, int], other: Runs
) -> None:
    """Features differ when order, a run's length, a missing step or an added event does."""
    plain = (("e0", 1), ("e1", 1), ("e2", 1))
    rows, runs, lengths = collate([plain, other], row_of)

    with torch.inference_mode():
        features = model.features(table[rows], runs, lengths)

    assert features.shape == (2, model.extractor.width)
    assert (features[0] - features[1]).abs().max() > 1e-3


def test_only_the_last_runs_count(model: SmallModel, table: Tensor, row_of: dict[str, int]) -> None:
    """A window longer than the limit is scored by its end."""
    (window,) = [(*random_windows(1, 1)[0], *[(f"e{step % EVENTS}", 1) for step in range(MAX_RUNS)])]

    assert len(window) > MAX_RUNS
    assert torch.equal(logits(model, table, row_of, [window]), logits(model, table, row_of, [window[-MAX_RUNS:]]))


def test_huge_runs_stay_finite(model: SmallModel, table: Tensor, row_of: dict[str, int]) -> None:
    """A run of ten million lines gives a finite logit."""
    assert torch.isfinite(logits(model, table, row_of, [(("e0", 10_000_000),), (("e1", 1),)])).all()


def test_every_parameter_learns(table: Tensor, row_of: dict[str, int]) -> None:
    """Gradients reach all parameters, so no part of the network is dead weight."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = SmallModel(NetworkShape(event_dim=24, hidden=8), dropout=0.0)
    rows, runs, lengths = collate(random_windows(16, 20), row_of)

    model(table[rows], runs, lengths).square().sum().backward()

    silent = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert silent == []


def test_extractor_takes_foreign_parameters(table: Tensor, row_of: dict[str, int]) -> None:
    """Meta-learning may call the extractor with adapted parameters, and the model itself stays as it is."""
    model = SmallModel(NetworkShape(event_dim=24, hidden=8)).eval()
    rows, runs, lengths = collate(random_windows(4, 10), row_of)
    inputs = (table[rows], runs, lengths)
    before = model.features(*inputs)
    adapted = {name: value * 1.5 for name, value in model.extractor.named_parameters()}

    changed = torch.func.functional_call(model.extractor, adapted, inputs)

    assert (changed - before).abs().max() > 1e-3
    assert torch.equal(model.features(*inputs), before)


def test_order_is_learnable() -> None:
    """Two swapped steps are distinguished after a little training, with equal counts and presence."""
    table = torch.eye(6)
    row_of = {name: row for row, name in enumerate("abcdef")}
    generator = torch.Generator().manual_seed(0)
    windows, labels = [], []
    for index in range(64):
        noise = ["cdef"[at] for at in torch.randint(0, 4, (6,), generator=generator).tolist()]
        first, second = ("a", "b") if index % 2 else ("b", "a")
        windows.append(tuple((event, 1) for event in [*noise[:2], first, *noise[2:4], second, *noise[4:]]))
        labels.append(float(index % 2))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = SmallModel(NetworkShape(event_dim=6, hidden=12), dropout=0.0)
    rows, runs, lengths = collate(windows, row_of)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            model(table[rows], runs, lengths), torch.tensor(labels)
        )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    assert ((model(table[rows], runs, lengths) > 0).float() == torch.tensor(labels)).float().mean() > 0.95


def test_collate_pads_with_zeros(row_of: dict[str, int]) -> None:
    """Rows, runs and lengths are int64, padded to the longest window."""
    rows, runs, lengths = collate([(("e3", 2),), (("e1", 1), ("e2", 5))], row_of)

    assert rows.tolist() == [[3, 0], [1, 2]]
    assert runs.tolist() == [[2, 0], [1, 5]]
    assert lengths.tolist() == [1, 2]


@pytest.mark.parametrize("windows", [[], [()], [(("e0", 1),), ()]])
def test_collate_refuses_nothing(row_of: dict[str, int], windows: list[Runs]) -> None:
    """No window, or an empty one, cannot be a batch."""
    with pytest.raises(ValueError, match="at least one"):
        collate(windows, row_of)


def test_collate_names_an_event_without_a_row(row_of: dict[str, int]) -> None:
    """An event that the table lacks is an error, not a wrong row."""
    with pytest.raises(KeyError, match="unknown"):
        collate([(("unknown", 1),)], row_of)
