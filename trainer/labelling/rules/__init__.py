"""The rules by which the heuristic labeller scores windows."""
