"""The backends that come with geospot; found by entry point, like anybody else's."""
