"""Devices that a user names."""

import torch

from .errors import unknown_name


def check_device(name: str, option: str = '--device') -> str:
    """Fail in words on a device that is not there.

    Args:
        name (str): 'cpu', 'cuda', 'cuda:0', ...
        option (str): What the message calls it. Defaults to '--device'.

    Returns:
        str: The same.

    Raises:
        ValueError: With the devices there are.
    """
    valid = ['cpu']
    if torch.cuda.is_available():
        valid += ['cuda', *(f'cuda:{i}' for i in range(torch.cuda.device_count()))]
    if name not in valid:
        raise unknown_name(option, name, valid)
    return name
