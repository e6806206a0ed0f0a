"""Distributions of predicates, object classes and triplets in one data set or several."""
