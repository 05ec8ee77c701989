_base_ = './detection_matrix.py'
title = 'Results on BCCD, on CPUs'
note = """Runs of [the matrix on BCCD](results.md), begun before a GPU was at hand and ended when the GPU had made all
of them: same seeds, start weights and order of the images. What differs is rounding, and the second view's random
colours, which the device draws: two means of a row, here and there, say how far five seeds settle it."""
readme: list = []
