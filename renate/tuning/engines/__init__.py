"""Optuna and Syne Tune as proposers; nothing else imports either."""
