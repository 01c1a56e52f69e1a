"""Models and trainings on disk: arrays with a checksum, save and load, stop and go on."""
