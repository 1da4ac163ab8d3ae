"""The world as it is drawn in a terminal: outlines, the projection, great circles, countries. No widgets."""
