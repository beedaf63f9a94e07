"""What is made of a partition's records: detection, its alerts, and the template catalogue."""
