"""Workers as processes of this machine, `python -m workbench.grid.local` each.

They are given tasks, and tell, as lines of JSON through their pipes. A worker whose driver is gone
reads the end of its pipe and ends, whatever it is doing.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import IO, Any

from workbench import disk_space
from workbench.errors import WorkbenchError
from workbench.grid.engine import Event, WorkerTask, message_of
from workbench.grid.worker import Worker
from workbench.models import weight_sizes

BESIDE_WEIGHTS = 1_500_000_000
"""Bytes that a worker takes beyond its model: Python, torch, and what is measured."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_GONE = 3  # exit status of a worker whose driver is gone
_LAST = 300  # characters of what a worker said before it died


def as_many_as_fit(models: Sequence[str], n_pieces: int, device: str) -> int:
    """Workers that this machine has processors, and memory for the largest of the models, for.

    On graphics cards one for each; one alone where a card, or all of them together, was named.
    """
    if n := cards(device):
        return min(n, n_pieces)
    if device not in ("auto", "cpu"):
        return 1
    known = [size.float32 for ref in models if (size := weight_sizes.of_reference(ref))]
    free = disk_space.memory_free()
    fit = n_pieces if free is None else free // (max(known, default=0) + BESIDE_WEIGHTS)
    return max(1, min(n_pieces, processors(), fit))


def processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cards(device: str) -> int:
    """Graphics cards that workers are spread over: those of this process, unless a device is named
    that is not any of them.
    """
    import torch

    anywhere = device in ("auto", "cuda") and torch.cuda.is_available()
    return torch.cuda.device_count() if anywhere else 0


class Local:
    """An engine of so many processes, which share the processors of this machine.

    Args:
        workers: how many there will be at a time.
        device: as `wb.load` takes it.
    """

    def __init__(self, workers: int, device: str) -> None:
        self._threads = max(1, processors() // workers)
        self._cards = cards(device)
        self._selector = selectors.DefaultSelector()
        self._running: dict[int, _Process] = {}
        self._hired = 0

    def __enter__(self) -> Local:
        return self

    def __exit__(self, *_: Any) -> None:
        for process in self._running.values():
            process.end()
        self._running.clear()
        self._selector.close()

    def hire(self) -> int:
        self._hired += 1
        card = (self._hired - 1) % self._cards if self._cards > 1 else None
        process = _Process(self._threads, card)
        self._running[self._hired] = process
        self._selector.register(process.out, selectors.EVENT_READ, self._hired)
        return self._hired

    def give(self, worker: int, task: WorkerTask) -> None:
        self._running[worker].send({"task": task.to_json()})

    def hear(self, seconds: float) -> list[Event]:
        heard: list[Event] = []
        for key, _ in self._selector.select(seconds):
            process = self._running[key.data]
            lines = process.lines()
            heard += [Event.from_json(key.data, json.loads(line)) for line in lines or ()]
            if lines is None:
                self._selector.unregister(process.out)
                del self._running[key.data]
                heard.append(Event(key.data, "died", error=process.why()))
        return heard

    def stop(self) -> None:
        for process in self._running.values():
            process.send({"stop": True})


class _Process:
    """One worker's process and its pipes."""

    def __init__(self, threads: int, card: int | None) -> None:
        seen = {} if card is None else {"CUDA_VISIBLE_DEVICES": str(card)}
        # A worker finds the packages that this process finds.
        path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._rest = b""
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "workbench.grid.local"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={**os.environ, **dict.fromkeys(_THREADS, str(threads)), **seen, **path},
                start_new_session=True,  # Ctrl-C is the driver's: it stops workers in its own way
            )
        except OSError as error:
            raise WorkbenchError(
                f"A worker cannot be started: {error.strerror or error}.",
                "room for another process",
                "Use fewer --workers.",
            ) from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self.out = self._process.stdin, self._process.stdout

    def send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # it died: that is heard where it is listened to
            self._in.write(json.dumps(message).encode() + b"\n")
            self._in.flush()

    def lines(self) -> list[bytes] | None:
        """What came since; None at the end."""
        new = os.read(self.out.fileno(), 1 << 16)
        if not new:
            return None
        *whole, self._rest = (self._rest + new).split(b"\n")
        return whole

    def why(self) -> WorkbenchError:
        """What it died of."""
        status = self._process.wait()
        self._close()
        self._errors.seek(0)
        last = self._errors.read().decode(errors="replace").strip()[-_LAST:]
        by = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        return WorkbenchError(
            f"A worker died ({by}).{f' Its last words: {last}' if last else ''}",
            "a machine with enough memory for all workers",
            "Use fewer --workers, or look at what ended it.",
        )

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        for pipe in (self._in, self.out):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def serve(given: IO[str], tell: Callable[[dict[str, Any]], None]) -> None:
    """Do what comes through `given`, one task after the other, until it ends."""
    worker = Worker(lambda kind, **values: tell(message_of(kind, **values)))
    tasks: list[WorkerTask] = []
    there = threading.Condition()

    def listen() -> None:
        for line in given:
            message = json.loads(line)
            if "stop" in message:
                worker.stop()
                continue
            with there:
                tasks.append(WorkerTask.from_json(message["task"]))
                there.notify()
        os._exit(_GONE)  # nobody is there to tell, and a task may take hours

    threading.Thread(target=listen, daemon=True).start()
    while True:
        with there:
            there.wait_for(lambda: bool(tasks))
            task = tasks.pop(0)
        worker.do(task)


def _main() -> None:
    from workbench.silence_libraries import silence

    silence()
    # What libraries print must not stand among what is told.
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(message: dict[str, Any]) -> None:
        pipe.write(json.dumps(message) + "\n")
        pipe.flush()

    serve(sys.stdin, tell)


if __name__ == "__main__":
    _main()
