"""Ask questions of the tape: pure functions over the store, the clock is an argument."""
