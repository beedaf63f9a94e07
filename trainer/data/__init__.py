"""From sources and replays to a corpus of signatures, and the labels of a labelled system."""
