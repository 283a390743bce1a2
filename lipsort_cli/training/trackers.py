"""Where logged values go besides ``metrics.jsonl``, for those who ask for it.

Another tracker is one more class under :class:`Tracker`, named in :data:`KINDS` and among the
choices of the option ``tracker``. One that fails is left alone with a warning: it costs no result.
"""

from __future__ import annotations

import os
import re
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lipsort_cli.console import located, warn
from lipsort_cli.errors import UsageError, first_line
from lipsort_cli.files import read_json, write_json

_LONGEST = 120
"""Characters that Weights & Biases takes of a name, with a few to spare."""


@dataclass(frozen=True)
class About:
    """What a tracker is told of a run: its folder, command, settings by dotted key, and the step
    that it goes on after, 0 for a new one."""

    directory: Path
    command: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0


class Tracker(ABC):
    """What is told every logged line of the run that it was made for."""

    @abstractmethod
    def __init__(self, about: About) -> None:
        """Begin, or go on with what an earlier start of the same run began."""

    @abstractmethod
    def log(self, step: int, values: Mapping[str, float]) -> None:
        """The values at ``step``, by ``SPLIT/NAME``."""

    @abstractmethod
    def close(self, finished: bool) -> None:
        """Nothing more comes of this start; whether the training is finished."""


class TensorBoard(Tracker):
    """Event files under ``tensorboard/`` of a run; what was logged after the step is dropped."""

    def __init__(self, about: About) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = str(about.directory / "tensorboard")
        self._writer = SummaryWriter(folder, purge_step=about.step + 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self, finished: bool) -> None:
        self._writer.close()


class MLflow(Tracker):
    """A run of the experiment ``lipsort COMMAND``: where MLFLOW_TRACKING_URI says, or in the files
    of ``mlruns`` in the working folder. ``mlflow.json`` of the run directory names it."""

    def __init__(self, about: About) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        # Its makers would have files replaced by a database, which the skinny package lacks.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        # Left alone it tries a server that does not answer for four minutes, and training waits.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        from mlflow import MlflowClient
        from mlflow.entities import Metric

        self._metric: Callable[..., Any] = Metric
        path, name = about.directory / "mlflow.json", f"lipsort {about.command}"
        known = read_json(path) if path.is_file() else {}
        uri = known.get("uri") or os.environ.get("MLFLOW_TRACKING_URI")
        uri = uri or Path("mlruns").absolute().as_uri()
        self._client: Any = MlflowClient(uri)
        if "run" in known:
            self._run = str(known["run"])
            self._client.update_run(self._run, status="RUNNING")
            return
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        made = self._client.create_run(
            experiment,
            run_name=located(about.directory),
            tags={"lipsort.directory": str(about.directory.absolute())},
        )
        self._run = str(made.info.run_id)
        for key, value in about.settings.items():
            self._client.log_param(self._run, key, str(value)[:500])
        write_json(path, {"uri": uri, "run": self._run})

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One point of each value, at the present time."""
        now = int(1000 * time.time())
        points = [self._metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=points)

    def close(self, finished: bool) -> None:
        """The run is finished, or killed and to be gone on with."""
        self._client.set_terminated(self._run, status="FINISHED" if finished else "KILLED")


class WandB(Tracker):
    """A run of the project ``lipsort``, offline unless WANDB_MODE says otherwise, in ``wandb/``."""

    def __init__(self, about: About) -> None:
        import wandb

        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "lipsort"),
            # The same for every start of a run: what is uploaded becomes one.
            id=re.sub(r"[^\w.]+", "-", str(about.directory.absolute()), flags=re.ASCII)[-_LONGEST:],
            name=located(about.directory)[-_LONGEST:],
            job_type=about.command,
            dir=str(about.directory),
            config=dict(about.settings),
            mode=os.environ.get("WANDB_MODE", "offline"),
            resume="allow",
            settings=wandb.Settings(silent=True, console="off"),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self, finished: bool) -> None:
        """Let what was kept be written."""
        self._run.finish(exit_code=0 if finished else 1)


KINDS: dict[str, type[Tracker]] = {"tensorboard": TensorBoard, "mlflow": MLflow, "wandb": WandB}
"""Every tracker by its name, which is that of the extra that it needs."""


class Trackers:
    """Those that are asked for, told the same.

    Raises:
        UsageError: one is not installed.
    """

    def __init__(self, names: Sequence[str], about: About) -> None:
        self._open: dict[str, Tracker] = {}
        for name in names:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    self._open[name] = KINDS[name](about)
            except ImportError as error:
                raise UsageError(
                    f"tracker: found {name}, which is not installed ({first_line(error)}); "
                    f"install it with `pip install 'lipsort[{name}]'`, or leave it out"
                ) from error
            except Exception as error:  # whatever it is that keeps a tracker from its work
                self._left(name, error)

    def log(self, split: str, step: int, values: Mapping[str, Any]) -> None:
        """The values at ``step``; None stands for one that is not known."""
        known = {f"{split}/{n}": float(v) for n, v in values.items() if isinstance(v, int | float)}
        self._each(lambda tracker: tracker.log(step, known))

    def close(self, *, finished: bool) -> None:
        """Close all."""
        self._each(lambda tracker: tracker.close(finished))
        self._open.clear()

    def _each(self, action: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._open.items()):
            try:
                action(tracker)
            except Exception as error:
                del self._open[name]
                self._left(name, error)

    @staticmethod
    def _left(name: str, error: Exception) -> None:
        warn(
            f"tracker {name}: {type(error).__name__}: {first_line(error)}; the run goes on without"
        )
