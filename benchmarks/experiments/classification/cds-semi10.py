# As shipped, but labelled images are not repeated: that is an arm of its own.
_base_ = './cds.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmcds.LabelledFraction',
        dataset={{_base_.train_dataloader.dataset}},
        fraction=0.1,
        seed=0,
        keep_unlabelled=True,
    )
)
