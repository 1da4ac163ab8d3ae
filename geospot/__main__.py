"""`python -m geospot` is `geospot`."""

from geospot.cli import main

main()
