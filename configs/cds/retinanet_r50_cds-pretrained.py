# The paper's protocol for COCO: an ordinary detector on a backbone that a classifier learned with CDS.
# Make the backbone with tools/export.py --backbone, or name another one with
#   --cfg-options model.backbone.init_cfg.checkpoint=PATH
_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'

model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='checkpoints/resnet50_cds_in1k_backbone.pth')))
