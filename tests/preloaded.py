"""Runs commands in processes that start with torch, mmdet and mmpretrain already imported.

The imports take ten seconds, longer than what most tests do. A server, which has done nothing else, forks for each
command. So a command is a process of its own: with its environment, its output and its exit status, and it leaves
nothing behind for the next one.
"""

import contextlib
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

#: mmcds comes first: it makes a torchvision that was built for another torch work. Not kornia: it brings onnxruntime,
#: whose thread a fork would lose.
MODULES = (
    'mmcds.apis',
    'mmcds.cli.prepare',
    'mmcds.engine.hooks',
    'mmcds.paper',
    'mmdet.apis',
    'mmdet.engine',
    'mmdet.evaluation',
    'mmengine.runner',
    'mmpretrain.apis',
    'mmpretrain.engine',
    'mmpretrain.evaluation',
    'yapf.yapflib.yapf_api',
)
CONFIGS = ('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py', 'mmpretrain::resnet/resnet18_8xb16_cifar10.py')


class Process:
    """A command that was started; the part of ``subprocess.Popen`` that tests need."""

    def __init__(self, server: 'Preloaded', pid: int, output: Path, errors: Path) -> None:
        self.server, self.pid, self.output, self.errors = server, pid, output, errors
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self.server.ask(poll=self.pid)
        return self.returncode

    def wait(self, timeout: float = 300) -> int:
        end = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > end:
                self.kill()
                raise TimeoutError(f'not over after {timeout} s: {self.output.read_text()[-3000:]}')
            time.sleep(0.02)
        return status

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


class Preloaded:
    """Starts scripts as ``python SCRIPT ARGUMENT...`` does, but from an interpreter with the imports done.

    Args:
        python (str): The interpreter.
        cwd (Path): The working folder.
        env (Mapping[str, str]): The environment.
    """

    def __init__(self, python: str, cwd: Path, env: Mapping[str, str]) -> None:
        self.cwd, self.env = cwd, env
        self.folder = tempfile.TemporaryDirectory(prefix='preloaded')
        self.server = subprocess.Popen(
            [python, __file__], cwd=cwd, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.count = 0

    def __enter__(self) -> 'Preloaded':
        return self

    def __exit__(self, *_: object) -> None:
        self.server.communicate()  # the end of its input ends it
        self.folder.cleanup()

    def ask(self, **request: Any) -> Any:
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(request) + '\n')
        self.server.stdin.flush()
        return json.loads(self.server.stdout.readline())

    def start(self, *command: str) -> Process:
        self.count += 1
        output, errors = (Path(self.folder.name, f'{self.count}.{name}') for name in ('out', 'err'))
        files = ['/dev/null', str(output), str(errors)]
        pid = self.ask(command=command, files=files)
        return Process(self, pid, output, errors)

    def run(self, *command: str, timeout: float = 300) -> 'subprocess.CompletedProcess[str]':
        process = self.start(*command)
        status = process.wait(timeout)
        return subprocess.CompletedProcess(command, status, process.output.read_text(), process.errors.read_text())


def serve() -> dict[str, Any]:
    """Answer requests until their end; returns in each child, with what it has to run."""
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # what an import prints is no answer
    import_module('cached_yaml')
    sys.path.pop(0)  # the folder of this file
    for name in MODULES:
        # mmpretrain is optional.
        with contextlib.suppress(ImportError):
            import_module(name)
    from mmengine.hub import get_config

    # For the metafiles, which stay in the cache.
    for name in CONFIGS:
        with contextlib.suppress(ImportError):
            get_config(name)
    gc.freeze()
    running: set[int] = set()
    while line := requests.readline():
        request = json.loads(line)
        answer = None
        if 'poll' in request:
            pid, status = os.waitpid(request['poll'], os.WNOHANG)
            if pid:
                running.remove(pid)
                answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                requests.close()
                answers.close()
                return dict(request)
            running.add(answer)
        print(json.dumps(answer), file=answers, flush=True)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    sys.exit()


def run(command: list[str], files: list[str]) -> None:
    """Be ``python COMMAND...`` from here on."""
    for descriptor, path in enumerate(files):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), descriptor)
    sys.argv = command
    sys.path.insert(0, os.path.dirname(os.path.abspath(command[0])))
    runpy.run_path(command[0], run_name='__main__')


if __name__ == '__main__':
    run(**serve())
