"""What is known of one model, all of it together."""
