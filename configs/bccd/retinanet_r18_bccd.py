_base_ = [
    '../_base_/models/retinanet_r18.py',
    '../_base_/datasets/bccd_detection.py',
    '../_base_/schedules/small.py',
]

model = dict(bbox_head=dict(num_classes=3))
