"""Kinds of systems in the starter source, one a file: what they do, what they say, how they fail."""
