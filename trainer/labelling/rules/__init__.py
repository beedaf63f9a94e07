"""The rules by which the heuristic labeller judges windows."""
