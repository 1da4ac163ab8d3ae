"""The world as it is drawn in a terminal: the projection, great circles, countries. No widgets."""
