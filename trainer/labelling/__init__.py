"""Labellers, their questions and answers, the ledger of both, and retrieval."""
