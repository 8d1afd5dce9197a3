"""Models beside brains and beside each other: encoding, geometry, connectivity."""
