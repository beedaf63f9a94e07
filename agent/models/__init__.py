"""The model that serves: watching the models topic, loading, scoring."""
