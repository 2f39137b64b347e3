"""Weights that several processes share out among them: `trainer.strategy=fsdp`."""
