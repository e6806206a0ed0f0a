"""How often predicates, object classes and triplets occur, in one data set or several."""
