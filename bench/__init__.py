"""Benchmarks: accuracy, throughput, faults. Truth lives here."""
