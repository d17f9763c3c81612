"""What every training run shares: processes and devices, files, metrics, optimiser and faster layers for CPUs."""
