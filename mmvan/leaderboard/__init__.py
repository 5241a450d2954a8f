"""The published results of VAN: as data, and beside what this package's models cost."""
