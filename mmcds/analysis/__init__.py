"""Pictures, probes, metrics and reports of trained models and of runs."""
