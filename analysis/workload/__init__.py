"""The physics of a job: work, memory, time, each as a point with its interval and assumptions.

Pure functions over `Model`, `gputape.store.gpus.Gpu` and a job; no clock, no network, no pandas,
no price. Facts and constants are data beside the code, with their sources.
"""
