"""From a partition's events to windows, and the state of open ones."""

WINDOWING_VERSION = 1
"""Raised by whatever changes which lines are in a window: a kind's rule, a default of the window settings.

It is part of every fingerprint: models and state of another version are refused, and models are trained again.
"""
