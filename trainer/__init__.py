"""The training job: replay, parse, window, route, meta-learn, label, distil, evaluate, publish."""
