"""Updaters that train low-rank changes of a model's layers, by Hugging Face's peft."""
