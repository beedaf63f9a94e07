"""The demo: two generated systems, training, detection and its score, in one terminal."""
