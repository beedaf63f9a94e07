"""Wire contracts of fusionlog: records, their codec, topic names. Standard library and msgspec only."""
