"""What the command line's commands do, one file each; they return data and print nothing."""
