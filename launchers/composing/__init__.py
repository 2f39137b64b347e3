"""From a command line to jobs that are checked, identified and written down."""
