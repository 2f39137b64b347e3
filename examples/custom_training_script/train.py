"""Renate's page "Using Renate in a Custom Training Script", on digits instead of texts."""

import torch
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset, random_split

from renate.models.renate_module import RenateWrapper
from renate.updaters.experimental.fine_tuning import FineTuningModelUpdater

# The model, and a loss of each example
torch_model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
model = RenateWrapper(torch_model)
loss_fn = torch.nn.CrossEntropyLoss(reduction="none")

# The data
inputs, targets = load_digits(return_X_y=True)
digits = TensorDataset(torch.tensor(inputs, dtype=torch.float32) / 16, torch.tensor(targets))
train_data, val_data = random_split(digits, [0.8, 0.2], torch.Generator().manual_seed(0))

# The update
updater = FineTuningModelUpdater(
    model,
    loss_fn,
    optimizer="Adam",
    learning_rate=3e-3,
    batch_size=32,
    max_epochs=3,
    input_state_folder=None,
    output_state_folder="renate_output",
)
updater.update(train_data, val_data)

# The model is trained: save its weights, say
torch.save(model.state_dict(), "model_weights.pt")
