"""What stands between a command line and MMEngine's Runner: options, checks, devices, processes."""
