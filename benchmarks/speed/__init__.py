"""Time and memory: what CDS costs, measured beside the stock."""
