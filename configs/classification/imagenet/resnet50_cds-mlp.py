# The cost of two forward passes: SimCLR's heads, which pool before they learn, instead of the paper's separable
# convolutions, and the second view in a pass of its own, so that batch statistics are those of view 1 only.
_base_ = './resnet50_cds.py'

model = dict(neck=dict(projector=dict(_delete_=True, type='MLPProjector'), concat=False, recompute=False))
