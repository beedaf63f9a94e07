"""From a line to its event: masks, Drain, frozen templates."""

PARSING_VERSION = 1
"""Raised by whatever changes the event of a line: a built-in mask, a layout's pattern, a default of how lines are read.

It is part of every fingerprint: models and state of another version are refused, and models are trained again.
"""
