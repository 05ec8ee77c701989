"""What is measured: experiments on real data, time and memory, and the model families of mmdet."""

from mmcds.compat.old_names import install

#: Package -> its modules that stood in this folder before.
_MOVED = {
    'data': 'bccd_parts cifar_jpeg grocery',
    'experiments': 'figure matrix page paper record run runner state '
    'ideas ideas.hooks ideas.registry ideas.samplers ideas.supervision',
    'speed': 'detections headline memory steps',
}
install({f'benchmarks.{name}': f'benchmarks.{new}.{name}' for new, names in _MOVED.items() for name in names.split()})
