"""Metrics, baselines, calibration and decisions on plain arrays; no Keras."""
