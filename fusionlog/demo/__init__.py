"""The demo: generate two systems, train, detect, and score the detection."""
