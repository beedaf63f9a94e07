"""The systems of the starter source."""
