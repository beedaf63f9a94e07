"""The small model: network, event vectors, scores, explanations; and the baseline before a first model."""
