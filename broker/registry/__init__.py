"""Artifact stores, model records, leases and promotion."""
