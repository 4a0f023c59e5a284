"""The thin Lightning layer: samples to weights, the same for the same seed on one machine."""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytorch_lightning as lightning
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler

from anomaly.forecast.module import Network, pinball
from anomaly.forecast.release import Shape, Weights
from anomaly.forecast.samples import Samples

Batch = tuple[Tensor, Tensor]
Tell = Callable[[int, int, float], None]
"""Steps done, of how many, mean loss since it was last told."""
TELLS = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """How it is trained: `steps` batches, drawn in a new order each time that all were seen."""

    seed: int = 1
    steps: int = 1_000
    batch_rows: int = 512
    learning_rate: float = 6e-3
    weight_decay: float = 1e-4


class _Rows(Dataset[Batch]):
    """Batches by their rows: whole tensors, no row by row."""

    def __init__(self, samples: Samples) -> None:
        self._inputs = torch.from_numpy(samples.inputs)
        self._targets = torch.from_numpy(samples.targets.astype(np.float32))

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, rows: list[int]) -> Batch:
        return self._inputs[rows], self._targets[rows]


class Learner(lightning.LightningModule):
    """Quantile loss, AdamW, one cycle of the learning rate."""

    def __init__(self, shape: Shape, plan: Plan) -> None:
        super().__init__()
        self.network = Network(shape)
        self._plan = plan
        self.register_buffer("levels", torch.tensor(shape.quantiles))
        self.losses: list[float] = []

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Loss of a batch."""
        inputs, targets = batch
        loss = pinball(self.network(inputs), targets, self.levels)
        self.losses.append(float(loss.detach()))
        return loss

    def configure_optimizers(self) -> dict[str, object]:
        """See the class."""
        plan = self._plan
        optimizer = torch.optim.AdamW(self.parameters(), plan.learning_rate, weight_decay=plan.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.learning_rate, total_steps=plan.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class _Teller(lightning.Callback):
    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def on_train_batch_end(self, trainer: lightning.Trainer, learner: Learner, *_: object) -> None:
        done, steps = trainer.global_step, trainer.max_steps
        if done == 1 or done * TELLS // steps > (done - 1) * TELLS // steps:
            self._tell(done, steps, float(np.mean(learner.losses)))
            learner.losses.clear()


def train(samples: Samples, shape: Shape, plan: Plan, tell: Tell) -> Weights:
    """Learn from the samples; KeyboardInterrupt where it was interrupted."""
    _quiet()
    torch.set_num_threads(1)  # sums in one order
    lightning.seed_everything(plan.seed, workers=True, verbose=False)
    batch_rows = min(plan.batch_rows, samples.rows)
    order = RandomSampler(range(samples.rows), generator=torch.Generator().manual_seed(plan.seed))
    batches = BatchSampler(order, batch_rows, drop_last=True)
    learner = Learner(shape, plan)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=-1,
        max_steps=plan.steps,
        deterministic=True,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[_Teller(tell)],
    )
    try:
        trainer.fit(learner, DataLoader(_Rows(samples), sampler=batches, batch_size=None))
    except SystemExit as exc:  # how Lightning ends after an interrupt
        raise KeyboardInterrupt from exc
    return {name: tensor.detach().numpy().copy() for name, tensor in learner.network.state_dict().items()}


def _quiet() -> None:
    """Lightning advertises, and warns of what is meant: one process, no GPU, no checkpoints."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
