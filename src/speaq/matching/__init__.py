"""Matching of predicate queries with ground-truth relations (SpeaQ, CVPR 2024, section 3)."""
