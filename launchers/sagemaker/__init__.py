"""Jobs as training jobs of Amazon SageMaker."""
