"""The vocabulary of the graph: one file an operator, meaning and hardware side by side."""
