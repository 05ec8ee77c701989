# 10 % of the labels; images without labels are not used.
_base_ = './resnet18.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmcds.LabelledFraction',
        dataset={{_base_.train_dataloader.dataset}},
        fraction=0.1,
        seed=0,
        keep_unlabelled=False,
    )
)
