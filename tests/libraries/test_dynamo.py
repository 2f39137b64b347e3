"""What compiles is loaded when something is compiled, and then works as if it had always been
there.
"""

import subprocess
import sys

import pytest

START = """
import sys
import torch
from renate.libraries.torch import load_dynamo_on_demand
from renate.libraries.torchmetrics import without_unused_imports
load_dynamo_on_demand()
with without_unused_imports():
    import pytorch_lightning
    from lightning_fabric.wrappers import _unwrap_compiled
    from pytorch_lightning.utilities.compile import OptimizedModule
model = torch.nn.Linear(3, 2)
optimizer = torch.optim.Adam(model.parameters())
def step(network):
    optimizer.zero_grad()
    network(torch.ones(4, 3)).sum().backward()
    optimizer.step()
step(model)
assert "torch._dynamo.eval_frame" not in sys.modules, "a step alone has no need of it"
assert not isinstance(model, OptimizedModule)
for module in [*sys.modules.values()]:
    hasattr(module, "__wrapped__")
assert "torch._dynamo.eval_frame" not in sys.modules, "who looks through all modules wants none of it"
"""
USES = {
    "compile": """
compiled = torch.compile(model, backend="eager")
step(compiled)
from torch._dynamo.utils import counters
assert counters["stats"]["unique_graphs"] >= 1
assert isinstance(compiled, OptimizedModule) and not isinstance(model, OptimizedModule)
assert issubclass(type(compiled), OptimizedModule)
assert _unwrap_compiled(compiled)[0] is model
""",
    "a submodule": """
import torch._dynamo.eval_frame as frames
from torch._dynamo import utils
assert frames is sys.modules["torch._dynamo.eval_frame"] is torch._dynamo.eval_frame
assert utils is torch._dynamo.utils
import torch._dynamo.backends.registry
step(model)
""",
    "an attribute": """
import torch._dynamo
before = torch._dynamo
assert torch._dynamo.config.cache_size_limit > 0
assert before.is_compiling is sys.modules["torch._dynamo"].is_compiling
torch._dynamo.reset()
step(model)
""",
    "a module that needs it": """
import torch._inductor.config
import torch.export
step(model)
exported = torch.export.export(model, (torch.ones(4, 3),))
assert exported.module()(torch.ones(4, 3)).shape == (4, 2)
""",
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.slow
def test_dynamo_comes_on_demand(use: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START + USES[use]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
