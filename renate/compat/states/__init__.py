"""States that Renate 0.5 wrote, taken over into ours."""
