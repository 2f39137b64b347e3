"""Texts: what cuts them into tokens, an encoder of columns of texts, and a source of them."""
