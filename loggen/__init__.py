"""The log generator: services described by the lines that their sessions write, and faults."""
