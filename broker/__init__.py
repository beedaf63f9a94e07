"""What agent and trainer both need of Kafka: client settings, artifact store, model registry, topics."""
