"""Builds a model and loads all of its weights from a checkpoint."""

from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmcds.checkpoints.export import build_for_test
from mmcds.engine.weights import CDS_PREFIX
from mmcds.models.necks import supervised_part
from mmcds.models.supervision import ATTRIBUTE
from mmcds.utils.checkpoint_files import load_checkpoint


def load_trained(cfg: Config, checkpoint: str | Path, device: str = 'cpu') -> tuple[Any, list[str]]:
    """Build the model of a config in evaluation mode and load a checkpoint into it.

    Args:
        cfg (Config): Its config, with CDS or without.
        checkpoint (str | Path): Its weights, as :func:`load_weights` takes them.
        device (str): Where the model goes. Defaults to 'cpu'.

    Returns:
        tuple[Any, list[str]]: The model, and the taps whose projectors the checkpoint has.

    Raises:
        FileNotFoundError, ValueError: If the checkpoint is missing, cut short, or not this model's.
    """
    model: Any = build_for_test(cfg)
    projected = load_weights(model, checkpoint)
    return model.to(device), projected


def load_weights(model: Any, checkpoint: str | Path) -> list[str]:
    """Load a checkpoint into a model, with CDS or without on either side.

    Args:
        model: A detector or classifier.
        checkpoint (str | Path): Its weights; those of the contrast may be missing.

    Returns:
        list[str]: The taps whose projectors have parameters, all of which are in the checkpoint.

    Raises:
        ValueError: If any other weight is missing, is left over, or has another shape.
    """
    weights = load_checkpoint(checkpoint)['state_dict']
    try:
        missing, unexpected = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise ValueError(
            f'checkpoint={str(checkpoint)!r} does not fit the config: {str(error).splitlines()[-1].strip()}; '
            'give the config that it was trained with'
        ) from error
    wrong = [key for key in [*missing, *unexpected] if CDS_PREFIX not in key]
    if wrong:
        raise ValueError(
            f'checkpoint={str(checkpoint)!r} does not fit the config: {len(wrong)} keys such as {wrong[:3]} are on one '
            'side only; give the config that it was trained with'
        )
    supervision: Any = getattr(getattr(supervised_part(model), 'neck', None), ATTRIBUTE, None)
    held = {key.partition(CDS_PREFIX)[2] for key in weights}
    projected = []
    for tap in supervision.taps if supervision is not None else ():
        names = [name for name, _ in supervision.projectors[tap.key].named_parameters()]
        if names and all(f'projectors.{tap.key}.{name}' in held for name in names):
            projected.append(tap.name)
    return projected
