"""Fitting a Keras model: the loop, its schedule and its checkpoints."""
