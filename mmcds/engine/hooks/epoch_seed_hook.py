"""Hook that lets a resumed run draw the random numbers of an uninterrupted one."""

from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner, set_random_seed

from mmcds.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds Python, NumPy and torch at the start of every epoch from seed, epoch and rank.

    MMEngine's checkpoints hold no random state, so a resumed run draws other samples than an
    uninterrupted one. With this hook and a fixed ``randomness.seed`` both give the same
    weights, if the data are loaded in the main process or by workers that start anew every epoch
    (``persistent_workers=False``): persistent workers keep their random state.

    This holds for epoch-based loops. A loop that counts iterations has no epochs: the hook seeds once, from the first
    iteration of the run (0, or that of the checkpoint). A resumed run then draws other numbers than one that was not
    interrupted.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed the generators of this process."""
        # Without epochs this is called once, at the iteration at which the training begins or goes on.
        begun = runner.iter if isinstance(runner.train_loop, IterBasedTrainLoop) else runner.epoch
        seed = ((runner.seed or 0) * 1_000_003 + begun) * get_world_size() + get_rank()
        set_random_seed(seed % 2**32)
