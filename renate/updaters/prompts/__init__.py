"""Updaters that train prompts for a frozen encoder of transformers."""
