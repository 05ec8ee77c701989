_base_ = './detection_matrix.py'
title = 'Results on BCCD, on CPUs'
note = """Runs of [the matrix on BCCD](results.md), begun before a GPU was at hand and ended when the GPU had made all
of them: same seeds, start weights and order of the images. What differs is torch's release, rounding (in the contrast,
too, which was rewritten for fewer kernels in between), and the second view's random colours, which the device draws.
Two means of a row, here and there, say how far five seeds settle it. RetinaNet gains no AP here, and AP50 by less than
the interval."""
