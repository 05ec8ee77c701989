# Costs two forward passes: SimCLR's heads, which pool before the linear layers, instead of the paper's separable
# convolutions. The second view is a separate pass, so batch statistics include view 1 only.
_base_ = './resnet18_cds.py'

model = dict(neck=dict(projector=dict(_delete_=True, type='MLPProjector'), concat=False, recompute=False))
