"""The Faust worker: raw lines in, alerts out."""
