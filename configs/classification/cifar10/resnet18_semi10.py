# 10 % of the labels, the others left out.
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
