"""Accuracy on sequences of events: protocols, labellers, methods, tables."""
