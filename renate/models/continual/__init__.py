"""Continual normalisation, in the place of batch normalisation."""
