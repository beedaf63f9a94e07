"""Methods to compare with, on the same windows and answers."""
