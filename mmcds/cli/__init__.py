"""Shared code of the command-line tools, and the data checks that they run first."""
