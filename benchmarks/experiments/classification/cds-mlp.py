_base_ = './cds.py'

model = dict(neck=dict(projector=dict(_delete_=True, type='MLPProjector'), concat=False, recompute=False))
