"""From images to scene graphs with a trained model."""
