"""Routing, meta-learning, distillation, calibration and evaluation of the small model."""
