"""Configs: loading them, adding CDS to them, and checking them before anything is built."""
