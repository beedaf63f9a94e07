"""The fakes that other packages' tests stand on."""

import torch

from detector.model.runs import run_lengths
from detector.model.scoring import Scorer
from detector.system import SystemSpec
from detector.testing import ANOMALOUS_LINES, NORMAL_LINES, SYSTEM, tiny_files, tiny_model


def test_tiny_models_are_reproducible() -> None:
    """The same arguments give the same artifact, another seed another, and the random state is kept."""
    state = torch.get_rng_state()
    first = tiny_files.__wrapped__(steps=3)

    assert tiny_files.__wrapped__(steps=3) == first
    assert tiny_files.__wrapped__(steps=3, seed=1)["model.safetensors"] != first["model.safetensors"]
    assert torch.equal(torch.get_rng_state(), state)


def test_tiny_model_is_a_model_for_its_system() -> None:
    """It carries the system it is made for, its version, and matches the sample lines' templates."""
    model = tiny_model(version=4)

    assert (model.name, model.version, model.spec_fingerprint) == ("orders", 4, SYSTEM.fingerprint())
    assert len(model.templates) == len(NORMAL_LINES) + len(ANOMALOUS_LINES)
    found = [model.matcher.match(info.text) for info in model.templates]
    assert [template and template.id for template in found] == [info.id for info in model.templates]


def test_tiny_model_takes_other_lines_and_systems() -> None:
    """A test may bring its own lines: what it calls anomalous scores above the threshold."""
    spec = SystemSpec(name="valves")
    model = tiny_model(spec, ("valve opened", "valve closed"), ("valve stuck",))
    opened, closed, stuck = (info.id for info in model.templates)

    fine, bad = Scorer(model).score([run_lengths([opened, closed]), run_lengths([opened, stuck])], {})
    assert fine < 0.5 < bad
