"""Histories that others kept, brought into the tape with their source."""
