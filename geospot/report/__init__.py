"""`geospot report`: results and runs as one page that needs nothing else."""
