"""SGD on a model."""
