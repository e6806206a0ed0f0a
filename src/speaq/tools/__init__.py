"""Programs beside the core, which does not import them."""
