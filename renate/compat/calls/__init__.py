"""Renate's functions: what one calls, and how it is said here."""
