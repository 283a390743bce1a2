"""Pictures of runs, drawn without a display."""
