"""The log generator: services described by what their sessions say, and faults; imports nothing of ours."""
