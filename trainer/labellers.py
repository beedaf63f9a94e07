"""The table of labellers: a new labeller is one file and one row here.

Settings, command line and recipe read this table. The builder of a row is named, not imported: the settings stand
below the labellers, and `fusionlog --help` imports none of their libraries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Mixture:
    """Shares of a training batch.

    Attributes:
        labelled: windows of the target with an answer.
        synthetic: synthetic windows, labelled by rules.
        source: windows of the labelled source.
    """

    labelled: float = 0.5
    synthetic: float = 0.35
    source: float = 0.15


# Answers of a labeller that is better than the rules should not be outweighed by windows that rules have labelled.
_TRUSTED = Mixture(labelled=0.7, synthetic=0.15, source=0.15)


@dataclass(frozen=True)
class LabellerRow:
    """One labeller.

    Attributes:
        build: `module:function`, a function from `LabellerInputs` to a `MakeLabeller` (`trainer.labelling.base`).
        budget: answers asked for where the settings do not say.
        mixture: of the batches of fine-tuning.
        needs: setting that must be given, "" for none; its section is a field of `TrainerSettings`.
        estimate: `module:function`, from `LabellerInputs` to an `Estimate` (`trainer.labelling.prompt_cost`); "" where
            answers cost nothing.
    """

    build: str
    budget: int = 1_000
    mixture: Mixture = _TRUSTED
    needs: str = ""
    estimate: str = ""

    def builder(self) -> Any:
        """The function that `build` names."""
        return _named(self.build)

    def estimator(self) -> Any:
        """The function that `estimate` names, or None."""
        return _named(self.estimate) if self.estimate else None


def _named(place: str) -> Any:
    module, _, function = place.partition(":")
    return getattr(import_module(module), function)


LABELLERS: Mapping[str, LabellerRow] = {
    # Its answers cost nothing.
    "heuristic": LabellerRow("trainer.labelling.heuristic:make_heuristic", budget=20_000, mixture=Mixture()),
    "openai": LabellerRow(
        "trainer.labelling.openai_compatible:make_openai", estimate="trainer.labelling.prompt_cost:make_estimate"
    ),
    "recorded": LabellerRow("trainer.labelling.recorded:make_recorded", needs="recorded.answers"),
}
