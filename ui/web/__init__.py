"""What every page stands on: look, prefix behind a proxy, who may ask."""
