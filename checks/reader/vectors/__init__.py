"""Runs the reader over the published vectors."""
