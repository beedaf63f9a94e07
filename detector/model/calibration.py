"""From a window's logit to a probability."""

import msgspec
import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Calibrated logit = logit / temperature + bias."""

    temperature: float = 1.0
    bias: float = 0.0

    def probabilities(self, logits: Float64) -> Float64:
        """Calibrated probability of each logit."""
        return sigmoid(logits / self.temperature + self.bias)


def sigmoid(logits: Float64) -> Float64:
    """1 / (1 + e^-x), without overflow."""
    result: Float64 = 1.0 / (1.0 + np.exp(-np.clip(logits, -500.0, 500.0)))
    return result
