"""From a partition's events to windows, and the state of open ones."""
