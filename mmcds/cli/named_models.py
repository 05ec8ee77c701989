"""Command-line options that name a trained model, or two to compare."""

import argparse
from dataclasses import dataclass

from mmengine.config import Config

from .options import CfgOptions


@dataclass(frozen=True)
class NamedModel:
    """A model as the command line names it.

    Attributes:
        config (str): As it was typed.
        checkpoint (str): A file that is there.
        cfg (Config): The config, overridden and with CDS where asked.
        name (str): What a figure calls it, unlike the other's.
    """

    config: str
    checkpoint: str
    cfg: Config
    name: str


def model_parser(doc: str | None, against: str = '') -> argparse.ArgumentParser:
    """Parser with the options that name a model. A tool adds its own options.

    Args:
        doc (str, optional): The tool's docstring.
        against (str): Help of ``--against``, for tools that compare two models. Defaults to '': they do not.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument('config', help="a config file, or '<package>::<path>' of one that a package ships")
    parser.add_argument('checkpoint', help='a checkpoint of this model, with CDS or without')
    parser.add_argument('--cds', action='store_true', help='the config is a stock one, trained with --cds')
    if against:
        parser.add_argument('--against', nargs=2, metavar=('CONFIG', 'CHECKPOINT'), help=against)
    parser.add_argument('--device', default='cpu', help="where models run, e.g. 'cuda:0' (default %(default)s)")
    options = 'override parts of both configs: key=value' if against else 'override parts of the config: key=value'
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, help=options)
    return parser


def named_models(args: argparse.Namespace) -> list[NamedModel]:
    """The models named on the command line: that of ``--against`` first, then the model itself.

    Raises:
        FileNotFoundError, ValueError: If the device, a checkpoint or a config is wrong; nothing has been built by then.
    """
    # Here, so that --help is there at once.
    from mmcds.config.from_options import config_from_options
    from mmcds.utils.checkpoint_files import check_checkpoint, names_of
    from mmcds.utils.device import check_device

    check_device(args.device)
    named = [(args.config, args.checkpoint, args.cds)]
    if getattr(args, 'against', None):
        named.insert(0, (*args.against, False))
    for _, checkpoint, _ in named:
        check_checkpoint(checkpoint)
    names = names_of([checkpoint for _, checkpoint, _ in named])
    return [
        NamedModel(config, checkpoint, config_from_options(config, args.cfg_options, cds, teacher=False), name)
        for (config, checkpoint, cds), name in zip(named, names, strict=True)
    ]
