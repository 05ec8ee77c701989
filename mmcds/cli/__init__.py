"""What the command-line tools share, and the data checks that they make first."""
