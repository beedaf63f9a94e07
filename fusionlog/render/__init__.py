"""What people see: alerts, tables, progress."""
