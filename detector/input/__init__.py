"""From a record's bytes to a line: text, event time, keys; and redaction of what leaves."""
