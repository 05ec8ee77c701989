# One view with the weight and the loss of the shipped contrast of then.
_base_ = './retinanet_two_views.py'

model = dict(neck=dict(view=dict(_delete_=True, type='SingleView')))
