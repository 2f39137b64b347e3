"""What models are worth: on test data, and over the chunks of a stream."""
