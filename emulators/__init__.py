"""The official emulators on this machine: `make emulators`."""
