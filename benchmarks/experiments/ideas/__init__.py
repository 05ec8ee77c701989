"""Forms of contrast that were tried, as a project outside mmcds would add them: parts of a registry of its own.

What the numbers kept is in mmcds; the rest stays here so that its row of the results can be run again.
"""

from . import hooks, samplers, supervision

__all__ = ['hooks', 'samplers', 'supervision']
