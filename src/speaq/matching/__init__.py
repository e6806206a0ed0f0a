"""Which queries learn which relations: cost, groups, multi-assignment."""
