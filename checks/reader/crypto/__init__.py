"""Primitives: hashes and sealing from libraries, ML-KEM in plain Python."""
