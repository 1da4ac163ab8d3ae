"""The terminal app: launches runs and shows them live. It reads files, and starts processes of their own."""
