"""Who is compared with whom, against loops over anchors and keys."""

import pytest
import torch

from mmcds.models.losses.comparison import compare, loss_of


def test_positives_are_the_other_keys_of_the_group() -> None:
    anchors, keys, own = [7, 3, 9], [3, 7, -1, 7, 9, 7], [1, 0, 4]
    who = compare(torch.tensor(anchors), torch.tensor(keys), torch.tensor(own), 0.5, torch.float64)
    positives = [sum(group == key for key in keys) - 1 for group in anchors]
    assert positives == [2, 0, 0]
    assert who.has_positive.tolist() == [1, 0, 0]
    assert who.share.tolist() == [1 / (2 * 0.5), 0, 0]
    assert who.count == 1
    assert who.groups == len(set(keys))
    assert (who.anchor_slot[:, None] == who.key_slot).tolist() == [[a == k for k in keys] for a in anchors]


@pytest.mark.parametrize('temperature', [0.01, 0.3])  # below and above what the symmetric form can take
def test_loss_is_the_sum_over_anchors(temperature: float) -> None:
    groups = torch.tensor([0, 1, 0, 2, 1, 0])
    z = torch.nn.functional.normalize(
        torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), dim=1
    )
    own = torch.arange(6)
    who = compare(groups, groups, own, temperature, torch.float64)
    expected = 0.0
    for i in range(6):
        positives = [j for j in range(6) if j != i and groups[j] == groups[i]]
        others = torch.stack([z[i] @ z[j] / temperature for j in range(6) if j != i])
        for j in positives:
            expected += float(others.logsumexp(0) - z[i] @ z[j] / temperature) / len(positives)
    assert float(loss_of(z, z, who, temperature)) == pytest.approx(expected, rel=1e-9)
    assert float(loss_of(z, z.clone(), who, temperature)) == pytest.approx(expected, rel=1e-9)
