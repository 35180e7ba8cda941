"""What runs on the laptop and in deploy jobs: it changes machines and this repository."""
