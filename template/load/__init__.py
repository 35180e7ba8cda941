"""What asks the app for load. `gate load` starts these programs; LOAD_WORK and LOAD_SEEN name their files."""
