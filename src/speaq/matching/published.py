"""Predicate counts of Visual Genome as used by the published implementation."""

VG_PREDICATE_COUNTS = (
    47341, 1996, 3092, 3624, 3477, 9903, 10190, 41356, 3288, 3411, 5213, 2312, 3806, 4688, 1973, 9145,
    2945, 1853, 9894, 277936, 42722, 251756, 13715, 3739, 3083, 1869, 2380, 2253, 96589, 146339, 712409,
    1914, 9317, 3095, 2721, 2065, 3810, 8856, 2241, 18643, 14185, 2517, 22596, 1925, 1740, 4613, 3490,
    136099, 15457, 66425,
)  # fmt: skip
"""Relations per predicate of VG150 that the published groups and class weights were computed from."""
