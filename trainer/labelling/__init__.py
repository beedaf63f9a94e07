"""Labellers: who says `normal` or `anomalous` of a distinct window, without the truth."""
