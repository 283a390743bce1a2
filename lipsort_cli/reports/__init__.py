"""Reports: runs compared in tables and pictures. Imports no torch."""
