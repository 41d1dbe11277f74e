"""All tests; what they share is in `helpers`."""
