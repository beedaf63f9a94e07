"""The one record that describes the network: in the manifest, in the trainer and in the scorer."""

from typing import Literal

import msgspec

Attention = Literal["bounded", "unbounded"]


class NetworkShape(msgspec.Struct, frozen=True, kw_only=True):
    """Size and kind of a `SmallModel`.

    Attributes:
        event_dim: width D of an event vector.
        hidden: width H of the GRU in each direction, and of the event projection.
        attention: `bounded` puts scores through tanh as the paper does, which makes it nearly a mean; `unbounded`
            divides by the root of the width, so that one event can take all the weight.
    """

    event_dim: int
    hidden: int
    attention: Attention = "bounded"
