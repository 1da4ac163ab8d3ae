"""One pydantic model a command."""
