"""Callbacks that a config may name, and what a checkpoint keeps of any."""
