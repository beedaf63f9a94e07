"""Windows with their truth, where they come from, and how they are split."""
