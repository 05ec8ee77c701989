"""Packages that only the analysis tools need: ``pip install '.[analysis]'``."""

from importlib import import_module

#: Import name -> distribution, as in ``extras_require`` of setup.py.
ANALYSIS = {'matplotlib': 'matplotlib', 'pycocotools': 'pycocotools', 'sklearn': 'scikit-learn'}


def need_analysis(*modules: str) -> None:
    """Raise in one line if a package of the extra ``analysis`` cannot be imported.

    Args:
        *modules (str): Import names, keys of :data:`ANALYSIS`.

    Raises:
        ImportError: For the first of them that cannot be imported, with its error and the remedy.
    """
    for module in modules:
        try:
            import_module(module)
        except ImportError as error:
            name = ANALYSIS[module]
            raise ImportError(
                f"{name} is needed here and cannot be imported ({error}); run: pip install {name}, or in mmcds' "
                "folder: pip install '.[analysis]'"
            ) from error
