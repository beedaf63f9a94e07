"""Output for people: alerts, tables, progress."""
