"""What training minimises: classes and boxes of matched queries."""
