"""Settings from file, environment and flags; logging; both for all processes."""
