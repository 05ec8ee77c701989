_base_ = './default_runtime.py'

# Weights of an ImageNet classifier: of configs/classification/imagenet/, or mmpretrain's resnet50_8xb32_in1k.
# Name yours with --cfg-options load_from=PATH; the head is left out where its number of classes differs.
load_from = 'checkpoints/resnet50_in1k.pth'
