"""Encoders of transformers below a head, which may be given prompts."""
