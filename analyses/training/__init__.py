"""What happens to memories while weights change."""
