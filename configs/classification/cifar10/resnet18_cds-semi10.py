# 10 % of the labels; images without labels are used only in the contrast.
_base_ = './resnet18_cds.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmcds.LabelledFraction',
        dataset={{_base_.train_dataloader.dataset}},
        fraction=0.1,
        # Labelled images are repeated to half of each epoch. The paper does not say how its batches are made up.
        labelled_share=0.5,
        seed=0,
        keep_unlabelled=True,
    )
)
