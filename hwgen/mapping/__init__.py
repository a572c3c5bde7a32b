"""From operators to a schedule on a board: folding, lane converters, FIFOs, cycle counts."""
