_base_ = './detection_matrix.py'
title = 'Results on BCCD, on CPUs'
answer = """
RetinaNet gains no AP here, and AP50 within its interval. The same seeds [on a GPU](results.md) gained AP50: five
seeds settle little.
"""
note = """
Runs of [the matrix on BCCD](results.md), begun before a GPU was at hand: same seeds, start weights and order of the
images. What differs is torch's release, rounding, and the second view's random colours, which the device draws.
"""
