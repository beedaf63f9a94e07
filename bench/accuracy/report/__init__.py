"""Tables and plots of stored accuracy results, for docs/accuracy.md."""
