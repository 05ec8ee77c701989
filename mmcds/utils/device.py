"""Checks the device that a user names."""

import torch

from .errors import unknown_name


def check_device(name: str, option: str = '--device') -> str:
    """Raise a clear error on a device that does not exist.

    Args:
        name (str): 'cpu', 'cuda', 'cuda:0', ...
        option (str): Name of the option in the message. Defaults to '--device'.

    Returns:
        str: The same.

    Raises:
        ValueError: If it does not exist, naming the devices that do.
    """
    valid = ['cpu']
    if torch.cuda.is_available():
        valid += ['cuda', *(f'cuda:{i}' for i in range(torch.cuda.device_count()))]
    if name not in valid:
        raise unknown_name(option, name, valid)
    return name
