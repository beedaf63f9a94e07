"""Transport, partitions, checkpoints and output: everything of the agent that speaks to Kafka."""
