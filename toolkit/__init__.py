"""Building blocks shared by all pipelines: layers, data, search, evaluation, training, artifacts and reports."""
