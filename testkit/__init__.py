"""Managed processes, Kafka, reference windows and fault injectors for tests, bench and the demo's processes."""
