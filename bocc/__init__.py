"""bocc."""
