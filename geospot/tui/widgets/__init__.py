"""What screens are made of: each draws data that it is handed, and reads no files."""
