_base_ = [
    '../_base_/models/faster_rcnn_r18.py',
    '../_base_/datasets/shapes_detection.py',
    '../_base_/schedules/small.py',
]

model = dict(roi_head=dict(bbox_head=dict(num_classes=4)))

# Eight epochs instead of the schedule's ten: AP50 has converged by then, and the job takes well under six minutes.
train_cfg = dict(max_epochs=8)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='MultiStepLR', by_epoch=True, milestones=[6], gamma=0.1),
]
