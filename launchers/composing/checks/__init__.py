"""What is checked of a composed config, before anything heavy is imported."""
