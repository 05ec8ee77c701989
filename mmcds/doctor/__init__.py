"""``python -m mmcds.doctor``: what is installed, what is wrong with it, and the command that mends it.

Nothing here imports torch or an mm package: those may be what is broken. A process of its own
(:mod:`~mmcds.doctor.imports`) imports them and reports, however it ends.
"""
