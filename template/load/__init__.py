"""What asks the app for load: `gate load` starts these programs. They read the file in LOAD_WORK, write that in LOAD_SEEN."""
