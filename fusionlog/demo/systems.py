"""The demo's two systems, built for a seed: a labelled source and an unlabelled target."""

from dataclasses import dataclass

from detector.system import SystemSpec
from fusionlog.demo import media, payments
from trainer.starter.simulator import Service, dice_of


@dataclass(frozen=True)
class DemoSystem:
    """A described service and how its lines are to be read."""

    service: Service
    spec: SystemSpec


def source_system(seed: int) -> DemoSystem:
    """The mature system: payments."""
    return DemoSystem(payments.payments(dice_of(seed, "payments")), payments.SPEC)


def target_system(seed: int) -> DemoSystem:
    """The new system: a media pipeline."""
    return DemoSystem(media.media(dice_of(seed, "media")), media.SPEC)
