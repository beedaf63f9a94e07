"""Who does the work of a run: in this process, or in Ray actors."""
