"""Pictures of what a model learns and finds."""
