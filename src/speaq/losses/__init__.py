"""The training loss: classes and boxes of matched queries."""
